import { createHash } from 'node:crypto'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Claim, ClaimRun, RunResult } from './claim.js'

/** What decides a result: all of the line but its name. The order of keys does not matter. */
export function hashOf({ label: _, testLength = 0, ...line }: ClaimRun, seed: number): string {
  return createHash('sha256')
    .update(JSON.stringify(sorted({ ...line, seed, testLength })))
    .digest('hex')
    .slice(0, 12)
}

/** Lines of the same training differ only in what is judged. */
export function trainingOf({ testRows: _, ...line }: ClaimRun, seed: number): string {
  return hashOf({ ...line, testLength: 0 }, seed)
}

function sorted(value: unknown): unknown {
  if (value === null || typeof value !== 'object') return value
  if (Array.isArray(value)) return value.map(sorted)
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  return Object.fromEntries(entries.map(([key, inner]) => [key, sorted(inner)]))
}

/** Finished results of a claim as it stands: what was run with other settings is not among them. */
export async function loadResults(folder: string, claim: Claim): Promise<RunResult[]> {
  const text = await textOf(join(folder, `${claim.key}.json`))
  const stored = text === null ? [] : (JSON.parse(text) as RunResult[])
  return claim.seeds.flatMap((seed) =>
    claim.runs.flatMap((run) => {
      const found = stored.find(({ hash }) => hash === hashOf(run, seed))
      return found ? [{ ...found, label: run.label }] : []
    }),
  )
}

/** Replaces the results of a claim, in one move: whoever stops in between finds the old file or the new one. */
export async function saveResults(folder: string, claim: Claim, results: readonly RunResult[]): Promise<void> {
  await mkdir(folder, { recursive: true })
  const path = join(folder, `${claim.key}.json`)
  await writeFile(`${path}.part`, `${JSON.stringify(results, null, 2)}\n`)
  await rename(`${path}.part`, path)
}

/** A file's text, or null where there is none. */
export async function textOf(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}
