import { choice, type Rng } from '@mneme/core-tensor/rng'
import { ask, type Row } from './batch.js'
import { checkInteger } from './check.js'
import { chance } from './metrics.js'
import { multiples, synthetic } from './synthetic.js'

/** Sizes of associative retrieval. T = (n + 1) (k + v + 2): a segment is one pair, and the last one asks. */
export interface AssociativeRetrievalConfig {
  /** A symbols, 0 to A - 1, then the separator, the question and the end of a segment. */
  readonly symbols: number
  /** k symbols of a key. */
  readonly keySize: number
  /** v symbols of a value. */
  readonly valueSize: number
  /** T, a multiple of k + v + 2. */
  readonly length: number
  /** Keys may come again with another value, and the last one counts. */
  readonly rewrite: boolean
  /** Mixes numbers of pairs in training, from 1 to n. */
  readonly mixed: boolean
}

/**
 * Pairs one after the other, each in a segment of its own, then one key: `key SEP value EOS ... key GEN value EOS`.
 *
 * Source: Rodkin et al. 2024, arXiv:2407.04841, section 4.1 ("remember" and "rewrite").
 *
 * Differs: the answer is scored where its symbols and the end of the segment are predicted; the authors' code also
 * scores the question itself.
 */
export const associativeRetrieval = synthetic<AssociativeRetrievalConfig>({
  key: 'associative-retrieval',
  title: 'Associative retrieval by segments',
  source: 'Rodkin et al. 2024, arXiv:2407.04841',
  metric: 'seqAcc',
  defaults: { symbols: 16, keySize: 1, valueSize: 1, length: 24, rewrite: false, mixed: false },
  tiny: { symbols: 12, keySize: 1, valueSize: 1, length: 12, rewrite: false, mixed: false },
  published: [],
  check(config) {
    const { symbols, keySize, valueSize, length, rewrite } = config
    checkInteger('associative-retrieval.symbols', symbols, 2)
    checkInteger('associative-retrieval.keySize', keySize, 1)
    checkInteger('associative-retrieval.valueSize', valueSize, 1)
    const segment = segmentOf(config)
    checkInteger('associative-retrieval.length', length, 2 * segment)
    const where = 'associative-retrieval.length'
    if (length % segment !== 0) throw new RangeError(`${where}: expected a multiple of ${segment}, got ${length}.`)
    const [pairs, keys] = [length / segment - 1, symbols ** keySize]
    if (!rewrite && pairs > keys) {
      throw new RangeError(`${where}: expected at most ${keys} pairs, as there are keys, got ${pairs}. Set rewrite.`)
    }
  },
  sampler(config) {
    const { symbols, keySize, valueSize, rewrite } = config
    const [separator, question, end] = [symbols, symbols + 1, symbols + 2]
    const segment = segmentOf(config)
    const keys = symbols ** keySize
    return (rng, row) => {
      const pairs = row.inputs.length / segment - 1
      const codes = rewrite ? Array.from({ length: pairs }, () => rng.int(0, keys)) : choice(rng, 0, keys, pairs)
      const values = new Map<number, number[]>()
      codes.forEach((code, i) => {
        const value = draw(rng, symbols, valueSize)
        values.set(code, value)
        row.inputs.set([...digits(code, symbols, keySize), separator, ...value, end], i * segment)
      })
      const asked = [...values.keys()][rng.int(0, values.size)] as number
      const answer = values.get(asked) as number[]
      row.inputs.set([...digits(asked, symbols, keySize), question, ...answer, end], pairs * segment)
      askFor(row, [...answer, end])
    }
  },
  lengths: (config) => (config.mixed ? { all: multiples(segmentOf(config), config.length).slice(1), growth: 0 } : null),
  size: ({ symbols }) => symbols + 3,
  name({ symbols }, id) {
    return id < symbols ? String(id) : (['=', '?', ';'][id - symbols] as string)
  },
  baselines: ({ symbols, valueSize }) => [{ name: 'chance: any value', ...chance(symbols ** valueSize) }],
})

export default associativeRetrieval

const segmentOf = ({ keySize, valueSize }: AssociativeRetrievalConfig): number => keySize + valueSize + 2

/** Lowest digit first. */
function digits(code: number, base: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => Math.floor(code / base ** i) % base)
}

const draw = (rng: Rng, symbols: number, count: number): number[] =>
  Array.from({ length: count }, () => rng.int(0, symbols))

/** The last tokens of a row, each due one place before it is shown. */
function askFor(row: Row, due: readonly number[]): void {
  const first = row.inputs.length - due.length - 1
  for (const [i, token] of due.entries()) ask(row, first + i, token)
}
