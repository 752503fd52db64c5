import { ask } from './batch.js'
import { checkInteger } from './check.js'
import { chance } from './metrics.js'
import { multiples, synthetic } from './synthetic.js'

/** Sizes of string copying: T = 2 n for a string of n symbols. */
export interface StringCopyingConfig {
  /** A symbols, 0 to A - 1; A asks for the copy. */
  readonly symbols: number
  /** T, even. */
  readonly length: number
  /** Whether the last symbol is due first. */
  readonly reversed: boolean
  /** Mixes lengths in training: multiples of this even number up to `length`, each as likely; 0 for none. */
  readonly shortest: number
}

/**
 * String copying: n random symbols, a marker, then the symbols again, each due one place before it is shown.
 *
 * Source: Jelassi et al. 2024, arXiv:2402.01032, section 4 ("repeat after me"); reversed as in Dehghani et al. 2018,
 * arXiv:1807.03819, section 3.2.
 */
export const stringCopying = synthetic<StringCopyingConfig>({
  key: 'string-copying',
  title: 'Copying a string',
  source: 'Jelassi et al. 2024, arXiv:2402.01032',
  metric: 'tokenAcc',
  defaults: { symbols: 26, length: 32, reversed: false, shortest: 0 },
  tiny: { symbols: 4, length: 8, reversed: false, shortest: 0 },
  published: [],
  check({ symbols, length, shortest }) {
    checkInteger('string-copying.symbols', symbols, 2)
    for (const [name, value] of Object.entries({ length, ...(shortest !== 0 && { shortest }) })) {
      checkInteger(`string-copying.${name}`, value, 2)
      if (value % 2 !== 0) throw new RangeError(`string-copying.${name}: expected an even number, got ${value}.`)
    }
  },
  sampler({ symbols, reversed }) {
    return (rng, row) => {
      const n = row.inputs.length / 2
      for (let t = 0; t < n; t++) row.inputs[t] = rng.int(0, symbols)
      row.inputs[n] = symbols
      for (let i = 0; i < n; i++) {
        const symbol = row.inputs[reversed ? n - 1 - i : i] as number
        ask(row, n + i, symbol)
        // the last symbol is due, never shown
        if (i < n - 1) row.inputs[n + i + 1] = symbol
      }
    }
  },
  lengths: ({ shortest, length }) => (shortest === 0 ? null : { all: multiples(shortest, length), growth: 0 }),
  size: ({ symbols }) => symbols + 1,
  name: ({ symbols }, id) => (id === symbols ? '=>' : symbols <= 26 ? String.fromCharCode(97 + id) : String(id)),
  baselines: ({ symbols }) => [{ name: 'chance: any symbol', ...chance(symbols) }],
})

export default stringCopying
