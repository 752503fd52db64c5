import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { judge, rowsOf } from '@mneme/cli/claims/claim'
import { measureNames, shown } from '@mneme/cli/claims/page'
import { claims } from '@mneme/cli/claims/registry'
import { loadResults } from '@mneme/cli/claims/store'
import { loadPaper, paperKeys } from '@mneme/models'
import { loadTask } from '@mneme/tasks'
import type { Experiment } from '@mneme/training'
import type { ClaimEntry, PaperPages } from '../src/view/papers/paper-pages'

const root = new URL('../../../', import.meta.url)
const textOf = (path: string): Promise<string> => readFile(fileURLToPath(new URL(path, root)), 'utf8')

/** Letters of the table of axes in docs/notation.md. */
async function letters(): Promise<PaperPages['letters']> {
  const rows = (await textOf('docs/notation.md')).matchAll(/^\| (`[A-Z]`(?:, `[A-Z]`)*) \| (.+) \|$/gm)
  return Array.from(rows, ([, names, meaning]) => ({
    letters: Array.from((names as string).matchAll(/[A-Z]/g), ([letter]) => letter),
    meaning: (meaning as string).replaceAll('`', ''),
  }))
}

/** Where the sources are published; null until package.json says so. */
async function repository(): Promise<string | null> {
  const { repository: found } = JSON.parse(await textOf('package.json')) as {
    readonly repository?: string | { readonly url?: string }
  }
  const url = typeof found === 'string' ? found : found?.url
  return url?.replace(/^git\+/, '').replace(/\.git$/, '') ?? null
}

/** Claims as they stand: the figures of docs/claims, judged as `mneme claim` does. */
async function claimEntries(): Promise<ClaimEntry[]> {
  const folder = fileURLToPath(new URL('docs/claims', root))
  return Promise.all(
    claims.map(async (claim) => {
      const rows = rowsOf(claim, await loadResults(folder, claim))
      const { key, title, sentence, setting, measure, runs, seeds } = claim
      const verdict = judge(claim, rows)
      return {
        key,
        title,
        sentence,
        setting,
        papers: [...new Set(runs.map(({ paper }) => paper))],
        asked: runs.length * seeds.length,
        done: rows.reduce((total, row) => total + row.seeds, 0),
        verdict,
        measure: measureNames[measure],
        rows: rows.map(({ label, paper, seeds: count, median, low, high, parameters, stateBytes }) => ({
          label,
          paper,
          seeds: count,
          median: shown(measure, median),
          spread: count > 1 ? `${shown(measure, low)} to ${shown(measure, high)}` : null,
          parameters,
          stateBytes,
        })),
      }
    }),
  )
}

/** A paper's smallest configuration on a task that is learnt in seconds; what the task decides is left to it. */
async function tinyExperiment(key: string): Promise<Experiment> {
  const { tiny } = await loadPaper(key)
  const { vocabulary, seed, ...config } = tiny
  const task = await loadTask('selective-copying')
  const train = { steps: 800, batch: 16, lr: 5e-3, evalEvery: 100, evalBatches: 4 }
  return { paper: key, config, task: task.key, taskConfig: { ...task.tiny }, train, seed: 0 }
}

/** What pages of papers show beside the catalogue, made when the app is built. */
export const collected: PaperPages = {
  letters: await letters(),
  repository: await repository(),
  claims: await claimEntries(),
  tiny: Object.fromEntries(await Promise.all(paperKeys.map(async (key) => [key, await tinyExperiment(key)] as const))),
}
