import { fileURLToPath } from 'node:url'
import { experimentOf, judge, rowsOf } from '@mneme/cli/claims/claim'
import { claims } from '@mneme/cli/claims/registry'
import { loadResults } from '@mneme/cli/claims/store'
import type { ClaimPreset } from '../src/experiment/claims'

const folder = fileURLToPath(new URL('../../../docs/claims', import.meta.url))

/** Every claim as experiments that the page can run, with what `mneme claim` found, made when the app is built. */
export const collected: readonly ClaimPreset[] = await Promise.all(
  claims.map(async (claim) => {
    const { key, title, sentence, runs, seeds } = claim
    return {
      key,
      title,
      sentence,
      verdict: judge(claim, rowsOf(claim, await loadResults(folder, claim))),
      lines: runs.map((line) => ({ label: line.label, experiment: experimentOf(line, seeds[0] ?? 0) })),
    }
  }),
)
