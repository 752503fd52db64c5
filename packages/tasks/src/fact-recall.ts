import { ask } from './batch.js'
import { checkInteger, checkOneOf } from './check.js'
import { chance } from './metrics.js'
import { multiples, synthetic } from './synthetic.js'

const places = ['start', 'anywhere'] as const

/** Sizes of fact recall. */
export interface FactRecallConfig {
  /** F: one of so many facts is to be remembered. */
  readonly facts: number
  /** N kinds of noise. */
  readonly noise: number
  /** T, with the question at the end. */
  readonly length: number
  /** 'start': the fact comes first; 'anywhere': it has to be told from the noise around it. */
  readonly place: string
  /** Mixes lengths in training: multiples of this one up to `length`, each as likely; 0 for none. */
  readonly shortest: number
  /** Batches over which those lengths grow, from the shortest alone to all of them; 0 for all from the start. */
  readonly growth: number
}

/**
 * One fact in noise, asked for at the end: "memorise" and "detect and memorise".
 *
 * Source: Bulatov et al. 2023, arXiv:2304.11062, section 4, where facts and noise are sentences.
 */
export const factRecall = synthetic<FactRecallConfig>({
  key: 'fact-recall',
  title: 'A fact in noise',
  source: 'Bulatov et al. 2023, arXiv:2304.11062',
  metric: 'tokenAcc',
  defaults: { facts: 8, noise: 16, length: 128, place: 'anywhere', shortest: 0, growth: 0 },
  tiny: { facts: 3, noise: 3, length: 8, place: 'anywhere', shortest: 0, growth: 0 },
  published: [
    {
      model: 'RMT, BERT base, trained on up to 7 segments of 499',
      setting: 'memorise, 2,043,904 tokens; at least this',
      metric: 'tokenAcc',
      value: 0.9,
      source: 'arXiv:2304.11062, figure 1',
      recalled: true,
    },
  ],
  check({ facts, noise, length, place, shortest, growth }) {
    checkInteger('fact-recall.facts', facts, 2)
    checkInteger('fact-recall.noise', noise, 1)
    checkInteger('fact-recall.length', length, 2)
    checkOneOf('fact-recall', 'place', place, places)
    checkInteger('fact-recall.growth', growth, 0)
    if (shortest !== 0) checkInteger('fact-recall.shortest', shortest, 2, length)
  },
  sampler({ facts, noise, place }) {
    return (rng, row) => {
      const last = row.inputs.length - 1
      for (let t = 0; t < last; t++) row.inputs[t] = rng.int(0, noise)
      const fact = noise + rng.int(0, facts)
      row.inputs[place === 'start' ? 0 : rng.int(0, last)] = fact
      row.inputs[last] = noise + facts
      ask(row, last, fact)
    }
  },
  lengths: ({ shortest, length, growth }) => (shortest === 0 ? null : { all: multiples(shortest, length), growth }),
  size: ({ facts, noise }) => noise + facts + 1,
  name: ({ facts, noise }, id) => (id < noise ? `n${id + 1}` : id === noise + facts ? '?' : `f${id - noise + 1}`),
  baselines: ({ facts }) => [{ name: 'chance: any fact', ...chance(facts) }],
})

export default factRecall
