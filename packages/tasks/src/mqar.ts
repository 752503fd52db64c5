import { choice, type Rng } from '@mneme/core-tensor/rng'
import { ask } from './batch.js'
import { checkInteger } from './check.js'
import { chance } from './metrics.js'
import { synthetic } from './synthetic.js'

/** Sizes of multi-query associative recall. */
export interface MqarConfig {
  /** V: 0 is the blank, 1 to V/2 - 1 are keys, V/2 to V - 1 values. */
  readonly vocab: number
  /** T, even, at least 2 n P + 2 n. */
  readonly length: number
  /** n key-value pairs, each asked for once. */
  readonly pairs: number
  /** P: how often the list of pairs is shown. */
  readonly passes: number
  /** a: slot g of the query region weighs (g + 1)^(a - 1), so that small a asks soon and 1 asks anywhere. */
  readonly power: number
  /** Fills what is blank with random tokens, which may equal a key or a value. */
  readonly randomNonQueries: boolean
}

/**
 * Multi-query associative recall: `k1 v1 k2 v2 ... . . k2 . k1 .`, and at each later key its value is due.
 *
 * C = 2 n P tokens of pairs, then S = (T - C) / 2 slots of two tokens; each key stands at the head of a slot of its
 * own, drawn without replacement by weight (g + 1)^(a - 1). Exactly n positions are scored.
 *
 * Source: Arora et al. 2023, arXiv:2312.04927 (Zoology), section 3.
 *
 * Differs: Zoology also demands V > T, which nothing in the layout needs; here enough keys and values are enough, so
 * that a model can be tested at lengths beyond its vocabulary.
 */
export const mqar = synthetic<MqarConfig>({
  key: 'mqar',
  title: 'Multi-query associative recall',
  source: 'Arora et al. 2023, arXiv:2312.04927',
  metric: 'tokenAcc',
  defaults: { vocab: 256, length: 64, pairs: 4, passes: 1, power: 0.01, randomNonQueries: false },
  tiny: { vocab: 16, length: 16, pairs: 2, passes: 1, power: 0.01, randomNonQueries: false },
  published: [
    {
      model: 'attention, 2 layers, D 64',
      setting: 'V 8192, (T, n) from (64, 4) to (512, 64); at least this',
      metric: 'tokenAcc',
      value: 0.99,
      source: 'arXiv:2312.04927, figure 2',
      recalled: true,
    },
  ],
  check({ vocab, length, pairs, passes, power }) {
    checkInteger('mqar.pairs', pairs, 1)
    checkInteger('mqar.passes', passes, 1)
    checkInteger('mqar.vocab', vocab, 2 * pairs + 2)
    checkInteger('mqar.length', length, 2 * pairs * passes + 2 * pairs)
    if (length % 2 !== 0) throw new RangeError(`mqar.length: expected an even number, got ${length}.`)
    if (!(power >= 0)) throw new RangeError(`mqar.power: expected at least 0, got ${power}.`)
  },
  sampler({ vocab, length, pairs, passes, power, randomNonQueries }) {
    const firstValue = Math.floor(vocab / 2)
    const context = 2 * pairs * passes
    const weights = slotWeights((length - context) / 2, power)
    return (rng, row) => {
      const keys = choice(rng, 1, firstValue, pairs)
      const values = choice(rng, firstValue, vocab, pairs)
      const list = keys.flatMap((key, i) => [key, values[i] as number])
      for (let pass = 0; pass < passes; pass++) row.inputs.set(list, pass * list.length)
      weightedChoice(rng, weights, pairs).forEach((slot, i) => {
        const at = context + 2 * slot
        row.inputs[at] = keys[i] as number
        ask(row, at, values[i] as number, context - 2 * (pairs - i) + 1)
      })
      if (!randomNonQueries) return
      for (let t = context; t < length; t++) if (row.mask[t] === 0) row.inputs[t] = rng.int(0, vocab)
    }
  },
  size: ({ vocab }) => vocab,
  name({ vocab }, id) {
    const firstValue = Math.floor(vocab / 2)
    return id === 0 ? '.' : id < firstValue ? `k${id}` : `v${id - firstValue}`
  },
  baselines({ vocab, pairs }) {
    const values = vocab - Math.floor(vocab / 2)
    return [
      { name: 'chance: any value', ...chance(values) },
      { name: 'any value of the context', ...chance(pairs) },
    ]
  },
})

export default mqar

/** Normalised (g + 1)^(a - 1) for g = 0 to count - 1; the paper's leading factor a cancels. */
function slotWeights(count: number, power: number): number[] {
  const raw = Array.from({ length: count }, (_, g) => (g + 1) ** (power - 1))
  const total = raw.reduce((sum, weight) => sum + weight, 0)
  return raw.map((weight) => weight / total)
}

/**
 * `count` distinct indices in the order drawn, with the law of drawing one by one and renormalising: the largest
 * log(u) / weight come first (Efraimidis and Spirakis 2006).
 */
function weightedChoice(rng: Rng, weights: readonly number[], count: number): number[] {
  const ranked = weights.map((weight, index) => ({ index, rank: Math.log(rng.uniform()) / weight }))
  ranked.sort((a, b) => b.rank - a.rank || a.index - b.index)
  return ranked.slice(0, count).map(({ index }) => index)
}
