import { Run, resolveExperiment, train } from '@mneme/training'
import { catalogue } from '../settings.js'
import type { Claim, ClaimRun, RunResult } from './claim.js'
import { hashOf, loadResults, saveResults } from './store.js'

export interface RunOptions {
  /** Where results are kept. */
  readonly folder: string
  /** Ends after the step that is under way; a run that is not finished leaves no result. */
  readonly signal?: AbortSignal
  /** Told of every result as it comes in. */
  onResult?(result: RunResult, done: number, total: number): void
}

/** Trains what has no result yet, one seed of every line after the other, and keeps each result at once. */
export async function runClaim(claim: Claim, { folder, signal, onResult }: RunOptions): Promise<RunResult[]> {
  const results = await loadResults(folder, claim)
  const total = claim.seeds.length * claim.runs.length
  for (const seed of claim.seeds) {
    for (const run of claim.runs) {
      const hash = hashOf(run, seed)
      if (results.some((result) => result.hash === hash)) continue
      const result = await runOnce(run, seed, signal)
      if (result === null) return results
      results.push({ hash, ...result })
      await saveResults(folder, claim, results)
      onResult?.({ hash, ...result }, results.length, total)
    }
  }
  return results
}

async function runOnce(
  { label, testLength = 0, ...experiment }: ClaimRun,
  seed: number,
  signal: AbortSignal | undefined,
): Promise<Omit<RunResult, 'hash'> | null> {
  const setup = await resolveExperiment({ ...experiment, seed }, catalogue)
  const run = await Run.create(setup)
  try {
    const started = performance.now()
    const events = train(run, signal ? { signal } : {})
    while (!(await events.next()).done);
    if (!run.finished) return null
    const seconds = (performance.now() - started) / 1000
    const { batch, accumulate } = setup.train
    const trained = run.tokensSeen / (run.step * batch * accumulate)
    const { lossNats, tokenAcc, seqAcc } = await run.evaluate({ split: 'test', length: testLength })
    return {
      label,
      seed,
      parameters: run.model.parameterCount(),
      stateBytes: run.model.stateBytes(testLength || trained),
      tokens: run.tokensSeen,
      seconds: Math.round(10 * seconds) / 10,
      lossNats,
      tokenAcc,
      seqAcc,
    }
  } finally {
    run.dispose()
  }
}
