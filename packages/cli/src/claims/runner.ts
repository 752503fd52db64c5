import { peakBytes } from '@mneme/core-tensor/inspect/peak-bytes'
import { type DistillStage, distillation, Run, resolveExperiment, train } from '@mneme/training'
import { catalogue } from '../settings.js'
import { type Claim, type ClaimRun, experimentOf, type RunResult } from './claim.js'
import { hashOf, loadResults, saveResults, trainingOf } from './store.js'

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
    const missing = claim.runs.filter((line) => !results.some(({ hash }) => hash === hashOf(line, seed)))
    for (const training of new Set(missing.map((line) => trainingOf(line, seed)))) {
      const lines = missing.filter((line) => trainingOf(line, seed) === training)
      const trained = await trainBest(lines[0] as ClaimRun, seed, signal)
      if (trained === null) return results
      try {
        for (const line of lines) {
          const result = { hash: hashOf(line, seed), ...(await judged(line, seed, trained)) }
          results.push(result)
          await saveResults(folder, claim, results)
          onResult?.(result, results.length, total)
        }
      } finally {
        trained.run.dispose()
      }
    }
  }
  return results
}

interface Trained {
  readonly run: Run
  readonly seconds: number
  readonly lr: number | undefined
}

/** At the rate that does best on the validation split, where there are several; null if it was stopped. */
async function trainBest(line: ClaimRun, seed: number, signal: AbortSignal | undefined): Promise<Trained | null> {
  let best: { run: Run; lossNats: number; lr: number | undefined } | null = null
  const started = performance.now()
  for (const lr of line.rates ?? [undefined]) {
    const run = await trainOnce(line, seed, lr, signal)
    if (run === null) {
      best?.run.dispose()
      return null
    }
    const { lossNats } = line.rates ? await run.evaluate() : { lossNats: 0 }
    if (best !== null && best.lossNats <= lossNats) run.dispose()
    else {
      best?.run.dispose()
      best = { run, lossNats, lr }
    }
  }
  return best && { run: best.run, lr: best.lr, seconds: (performance.now() - started) / 1000 }
}

async function trainOnce(
  line: ClaimRun,
  seed: number,
  lr: number | undefined,
  signal: AbortSignal | undefined,
): Promise<Run | null> {
  const settings = lr === undefined ? line.train : { ...line.train, lr }
  const setup = await resolveExperiment({ ...experimentOf(line, seed), train: settings }, catalogue)
  const first = line.startsFrom ? await trainOnce(firstOf(line, line.startsFrom), seed, lr, signal) : null
  if (line.startsFrom && first === null) return null
  const run = await Run.create(setup, first && line.distils ? distillation(first.model, stagesOf(line)) : undefined)
  try {
    if (first) {
      const { loaded } = run.model.loadStateDict(await first.model.stateDict(), { strict: false })
      if (loaded.length === 0)
        throw new RangeError(
          `claim startsFrom: expected at least one parameter of ${line.paper} in ${line.startsFrom?.paper}, got none.`,
        )
    }
    const events = train(run, signal ? { signal } : {})
    while (!(await events.next()).done);
  } catch (error) {
    run.dispose()
    throw error
  } finally {
    first?.dispose()
  }
  if (run.finished) return run
  run.dispose()
  return null
}

/** What is trained before a line is, on its task. */
function firstOf(
  { startsFrom: _, distils: __, ...line }: ClaimRun,
  first: NonNullable<ClaimRun['startsFrom']>,
): ClaimRun {
  return { ...line, ...first }
}

function stagesOf({ distils = [], train }: ClaimRun): DistillStage[] {
  const steps = Math.ceil((train.steps ?? 0) / distils.length)
  return distils.map((kind) => ({ kind, steps }))
}

async function judged(line: ClaimRun, seed: number, trained: Trained): Promise<Omit<RunResult, 'hash'>> {
  const { label, testLength = 0, testRows, readBy, profiled } = line
  const { run, seconds, lr } = trained
  const { batch, accumulate } = run.setup.train
  const length = testLength || Math.round(run.tokensSeen / (run.step * batch * accumulate))
  const rows = testRows === undefined ? {} : { batch: testRows, batches: 1 }
  const reader = readBy ? await readingRun({ ...line, ...readBy }, seed, run) : run
  try {
    const { lossNats, tokenAcc, seqAcc } = await reader.evaluate({ split: 'test', length: testLength, ...rows })
    return {
      label,
      seed,
      parameters: run.model.parameterCount(),
      stateBytes: reader.model.stateBytes(length),
      tokens: run.tokensSeen,
      ...(lr !== undefined && { lr }),
      seconds: Math.round(10 * seconds) / 10,
      lossNats,
      tokenAcc,
      seqAcc,
      ...(profiled && { peakBytes: await stepBytes(line, seed) }),
    }
  } finally {
    if (reader !== run) reader.dispose()
  }
}

/** A run of another configuration, or of another paper, with the weights of a trained one. */
async function readingRun(line: ClaimRun, seed: number, trained: Run): Promise<Run> {
  const reader = await Run.create(await resolveExperiment(experimentOf(line, seed), catalogue))
  reader.model.loadStateDict(await trained.model.stateDict())
  return reader
}

/** Of the second step of a run of its own, so that the trained one stays as it is. */
async function stepBytes(line: ClaimRun, seed: number): Promise<number> {
  const run = await Run.create(await resolveExperiment(experimentOf(line, seed), catalogue))
  try {
    await run.advance()
    return await peakBytes(() => run.advance())
  } finally {
    run.dispose()
  }
}
