import { comparison } from './comparison.js'
import { factSetting, onFact, onlyKnows } from './on-fact.js'

const lengths = [112, 320, 1600] as const
const task = { trained: 112, shortest: 16, lengths, steps: 3000 }
const encoder = { nLayers: 2, nHeads: 2, dInner: 64, segment: 16, positions: 32 }

/** Bulatov et al. 2023, arXiv:2304.11062, section 4.2. */
export const rmt1m = comparison({
  key: 'rmt-1m',
  papers: ['rmt-1m'],
  title: 'A fact kept by a recurrent encoder',
  sentence:
    'Trained on up to 7 segments, the recurrent encoder knows a fact of the first segment after 7, 20 and 100 in at least 9 of 10 rows; a decoder of as many layers without memory answers at chance.',
  setting: `Two layers, 32 wide, segments of 16, four memory tokens: ${factSetting}; 3,000 steps of 16 rows of up to 112 tokens, one seed, 128 rows judged. The paper trains BERT on up to 7 segments of 499.`,
  measure: 'tokenAcc',
  seeds: [0],
  equal: null,
  runs: [
    ...onFact('memory', 'rmt-1m', { ...encoder, memoryTokens: 4 }, task),
    ...onFact('no memory', 'rmt', { ...encoder, positions: 64, memoryTokens: 0 }, task),
  ],
  holds: onlyKnows('memory', 'no memory', lengths),
})
