import type { Rng } from '@mneme/core-tensor/rng'
import { ask } from './batch.js'
import { checkInteger } from './check.js'
import { chance } from './metrics.js'
import { synthetic } from './synthetic.js'

/** Sizes of vocabulary majority. */
export interface MajorityConfig {
  /** K symbols, 0 to K - 1; K asks. */
  readonly symbols: number
  /** T, with the question at the end. */
  readonly length: number
  /** Added to the weight of one symbol of each row, so that its majority is clear; 0 leaves it to chance. */
  readonly lead: number
}

/**
 * Classification of a long sequence: which symbol stands in it most often? Where two do, the row is drawn again.
 *
 * Source: the majority function of Merrill, Sabharwal and Smith 2022, arXiv:2106.16213, here of K symbols.
 */
export const majority = synthetic<MajorityConfig>({
  key: 'majority',
  title: 'The most frequent symbol',
  source: 'Merrill, Sabharwal and Smith 2022, arXiv:2106.16213',
  metric: 'tokenAcc',
  defaults: { symbols: 4, length: 256, lead: 0.2 },
  tiny: { symbols: 3, length: 10, lead: 0.5 },
  published: [],
  check({ symbols, length, lead }) {
    checkInteger('majority.symbols', symbols, 2)
    checkInteger('majority.length', length, 2)
    if (!(lead >= 0)) throw new RangeError(`majority.lead: expected at least 0, got ${lead}.`)
  },
  sampler({ symbols, lead }) {
    return (rng, row) => {
      const text = row.inputs.subarray(0, -1)
      let most: number | null = null
      while (most === null) {
        const leader = rng.int(0, symbols)
        for (let t = 0; t < text.length; t++) text[t] = symbolOf(rng, symbols, leader, lead)
        most = mostFrequent(text, symbols)
      }
      row.inputs[text.length] = symbols
      ask(row, text.length, most)
    }
  },
  size: ({ symbols }) => symbols + 1,
  name: ({ symbols }, id) => (id === symbols ? '?' : String(id)),
  baselines: ({ symbols }) => [{ name: 'chance: any symbol', ...chance(symbols) }],
})

export default majority

function symbolOf(rng: Rng, symbols: number, leader: number, lead: number): number {
  return rng.uniform() * (1 + lead) < lead ? leader : rng.int(0, symbols)
}

/** Null where two are most frequent. */
function mostFrequent(text: Int32Array, symbols: number): number | null {
  const counts = new Array<number>(symbols).fill(0)
  for (const symbol of text) counts[symbol] = (counts[symbol] as number) + 1
  const most = Math.max(...counts)
  return counts.indexOf(most) === counts.lastIndexOf(most) ? counts.indexOf(most) : null
}
