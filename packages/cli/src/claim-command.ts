import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { unknownName } from '@mneme/core-tensor'
import { makeFolder } from '@mneme/core-tensor/io/node-store'
import { NonFiniteError } from '@mneme/training'
import { type Claim, judge, measured, rowsOf } from './claims/claim.js'
import { type Known, page, shown, standing, tableLines } from './claims/page.js'
import { claims } from './claims/registry.js'
import { runClaim } from './claims/runner.js'
import { resultsOf, storedResults, textOf } from './claims/store.js'
import { releaseDevice, useDevice } from './device.js'
import { duration, output } from './progress.js'
import { UsageError } from './settings.js'
import { exitCodes } from './train-command.js'

export interface ClaimFlags {
  readonly all: boolean
  readonly list: boolean
  readonly check: boolean
  readonly json: boolean
  readonly device: string
  /** Folder of claims.md, and of the results in claims/. */
  readonly docs: string
}

/** `mneme claim`: runs experiments that papers' claims stand or fall with, and writes the page of all of them. */
export async function claimCommand(key: string | undefined, flags: ClaimFlags): Promise<number> {
  if (flags.check) return check(flags)
  if (flags.list || (key === undefined && !flags.all)) return list(flags)
  const chosen = key === undefined ? claims : claims.filter((claim) => claim.key === key)
  if (key !== undefined && chosen.length === 0) {
    const keys = claims.map((claim) => claim.key)
    throw new UsageError(unknownName('claim', 'claim', key, keys))
  }
  return run(chosen, flags)
}

async function run(chosen: readonly Claim[], flags: ClaimFlags): Promise<number> {
  const out = output(flags.json)
  const device = await useDevice(flags.device)
  const folder = join(flags.docs, 'claims')
  const abort = new AbortController()
  const interrupt = (): void => {
    if (abort.signal.aborted) process.exit(exitCodes.interrupted)
    out.say('Stopping; finished runs are kept, the one under way is not. Once more leaves at once.')
    abort.abort()
  }
  process.on('SIGINT', interrupt)
  process.on('SIGTERM', interrupt)
  try {
    for (const claim of chosen) {
      if (abort.signal.aborted) break
      out.say(`${claim.key}: ${claim.sentence}`)
      const results = await runClaim(claim, {
        folder,
        signal: abort.signal,
        onResult(result, done, total) {
          out.event({ type: 'result', claim: claim.key, ...result })
          const value = shown(claim.measure, measured(result, claim.measure))
          out.say(`  ${done}/${total}  ${result.label}, seed ${result.seed}: ${value} in ${duration(result.seconds)}`)
        },
      })
      tell({ claim, results }, flags.json)
      await writePage(flags.docs)
    }
    return abort.signal.aborted ? exitCodes.interrupted : 0
  } catch (error) {
    if (!(error instanceof NonFiniteError)) throw error
    process.stderr.write(`${error.message}\n`)
    return exitCodes.notFinite
  } finally {
    process.off('SIGINT', interrupt)
    process.off('SIGTERM', interrupt)
    await releaseDevice(device)
  }
}

function tell({ claim, results }: Known, json: boolean): void {
  const rows = rowsOf(claim, results)
  const verdict = judge(claim, rows)
  if (json) process.stdout.write(`${JSON.stringify({ type: 'claim', claim: claim.key, verdict, rows })}\n`)
  else {
    const word =
      verdict === null ? 'not judged: runs are missing' : `${verdict.pass ? 'passes' : 'fails'}: ${verdict.because}`
    process.stdout.write(`${tableLines(claim, rows).join('\n')}\n${claim.key} ${word}\n`)
  }
}

async function list({ json, docs }: ClaimFlags): Promise<number> {
  for (const one of await everything(docs)) {
    const { key, sentence, runs, seeds } = one.claim
    const entry = { claim: key, sentence, runs: runs.length, seeds: seeds.length, standing: standing(one) }
    process.stdout.write(json ? `${JSON.stringify(entry)}\n` : `${key}  [${entry.standing}]\n  ${sentence}\n`)
  }
  return 0
}

/** Whether page and pictures are what the command would write now. */
async function check({ docs, json }: ClaimFlags): Promise<number> {
  const stale: string[] = []
  for (const [path, text] of await files(docs)) if ((await textOf(path)) !== text) stale.push(path)
  if (json) process.stdout.write(`${JSON.stringify({ fresh: stale.length === 0, stale })}\n`)
  else if (stale.length > 0)
    process.stderr.write(`claim --check: ${stale.join(', ')} not as the results have it. Run mneme claim --all.\n`)
  return stale.length === 0 ? 0 : 1
}

async function writePage(docs: string): Promise<void> {
  await makeFolder('--docs', join(docs, 'claims'))
  for (const [path, text] of await files(docs)) await writeFile(path, text)
}

/** Path and text of everything that is made from results. */
async function files(docs: string): Promise<[path: string, text: string][]> {
  const known = await everything(docs)
  const figures = known.flatMap(({ claim, results }): [string, string][] => {
    const rows = rowsOf(claim, results)
    return claim.figure && rows.length > 0 ? [[join(docs, 'claims', `${claim.key}.svg`), claim.figure(rows)]] : []
  })
  return [[join(docs, 'claims.md'), page(known)], ...figures]
}

async function everything(docs: string): Promise<Known[]> {
  const stored = await storedResults(join(docs, 'claims'))
  return claims.map((claim) => ({ claim, results: resultsOf(claim, stored) }))
}
