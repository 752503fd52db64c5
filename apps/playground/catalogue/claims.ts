import { fileURLToPath } from 'node:url'
import { type ClaimRun, experimentOf, judge, rowsOf } from '@mneme/cli/claims/claim'
import { claims } from '@mneme/cli/claims/registry'
import { loadResults } from '@mneme/cli/claims/store'
import type { ClaimPreset } from '../src/experiment/claims'

const folder = fileURLToPath(new URL('../../../docs/claims', import.meta.url))

/** What is to be trained: lines that only differ in how they are judged are one, and of several rates it is the first. */
function trained(runs: readonly ClaimRun[], seed: number): ClaimPreset['lines'] {
  const labels = new Map<string, string[]>()
  for (const line of runs) {
    const { train, ...experiment } = experimentOf(line, seed)
    const key = JSON.stringify({ ...experiment, train: { ...(line.rates && { lr: line.rates[0] }), ...train } })
    labels.set(key, [...(labels.get(key) ?? []), line.label])
  }
  return Array.from(labels, ([key, names]) => ({ label: names.join(' and '), experiment: JSON.parse(key) }))
}

/** Every claim as experiments that the page can run, with what `mneme claim` found, made when the app is built. */
export const collected: readonly ClaimPreset[] = await Promise.all(
  claims.map(async (claim) => {
    const { key, title, sentence, runs, seeds } = claim
    return {
      key,
      title,
      sentence,
      verdict: judge(claim, rowsOf(claim, await loadResults(folder, claim))),
      lines: trained(runs, seeds[0] ?? 0),
    }
  }),
)
