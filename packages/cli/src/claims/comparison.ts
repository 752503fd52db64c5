import type { Claim } from './claim.js'
import { shown } from './page.js'

/** A claim whose verdict is a condition on the medians of its lines, and which needs no other words than those figures. */
export interface Comparison extends Omit<Claim, 'verdict'> {
  /** Whether the medians, by label, bear the claim out. */
  holds(of: (label: string) => number): boolean
}

/** The claim that a comparison makes, with every line's figure in its verdict. */
export function comparison({ holds, ...claim }: Comparison): Claim {
  return {
    ...claim,
    verdict: (row) => ({
      pass: holds((label) => row(label).median),
      because: `${claim.runs.map(({ label }) => `${label} ${shown(claim.measure, row(label).median)}`).join(', ')}.`,
    }),
  }
}
