import { createHash } from 'node:crypto'
import { readdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { makeFolder } from '@mneme/core-tensor/io/node-store'
import type { Claim, ClaimRun, RunResult } from './claim.js'

/** What decides a result: all of the line but its name. The order of keys does not matter. */
export function hashOf({ label: _, testLength = 0, ...line }: ClaimRun, seed: number): string {
  return createHash('sha256')
    .update(JSON.stringify(sorted({ ...line, seed, testLength })))
    .digest('hex')
    .slice(0, 12)
}

/** Lines of the same training differ only in what is judged. */
export function trainingOf({ testRows: _, readBy: __, ...line }: ClaimRun, seed: number): string {
  return hashOf({ ...line, testLength: 0 }, seed)
}

function sorted(value: unknown): unknown {
  if (value === null || typeof value !== 'object') return value
  if (Array.isArray(value)) return value.map(sorted)
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  return Object.fromEntries(entries.map(([key, inner]) => [key, sorted(inner)]))
}

/** Finished results of a claim as it stands, whichever claim they were run for: what was run with other settings is not among them. */
export async function loadResults(folder: string, claim: Claim): Promise<RunResult[]> {
  return resultsOf(claim, await storedResults(folder))
}

/** Of all results in a folder, those of a claim's lines. */
export function resultsOf(claim: Claim, stored: ReadonlyMap<string, RunResult>): RunResult[] {
  return claim.seeds.flatMap((seed) =>
    claim.runs.flatMap((run) => {
      const found = stored.get(hashOf(run, seed))
      return found ? [{ ...found, label: run.label }] : []
    }),
  )
}

/** Every result in a folder, by its hash. */
export async function storedResults(folder: string): Promise<ReadonlyMap<string, RunResult>> {
  const names = (await namesIn(folder)).filter((name) => name.endsWith('.json'))
  const texts = await Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')))
  return new Map(texts.flatMap((text) => (JSON.parse(text) as RunResult[]).map((result) => [result.hash, result])))
}

/** Replaces the results of a claim, in one move: whoever stops in between finds the old file or the new one. */
export async function saveResults(folder: string, claim: Claim, results: readonly RunResult[]): Promise<void> {
  await makeFolder('saveResults', folder)
  const path = join(folder, `${claim.key}.json`)
  await writeFile(`${path}.part`, `${JSON.stringify(results, null, 2)}\n`)
  await rename(`${path}.part`, path)
}

/** A file's text, or null where there is none. */
export function textOf(path: string): Promise<string | null> {
  return orMissing(readFile(path, 'utf8'), null)
}

function namesIn(folder: string): Promise<string[]> {
  return orMissing(readdir(folder), [])
}

async function orMissing<T, M>(read: Promise<T>, missing: M): Promise<T | M> {
  try {
    return await read
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return missing
    throw error
  }
}
