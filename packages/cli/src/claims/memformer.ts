import { comparison } from './comparison.js'
import { factSetting, onFact, onlyKnows } from './on-fact.js'

const lengths = [64, 128] as const
const task = { trained: 128, shortest: 16, lengths, steps: 1500 }
const heads = { nLayers: 2, nHeads: 2, dInner: 64, segment: 16 }

/** Wu et al. 2020, arXiv:2010.06891. */
export const memformer = comparison({
  key: 'memformer',
  papers: ['memformer'],
  title: 'A fact kept in slots',
  sentence:
    'With 8 slots Memformer knows a fact of 4 and of 8 segments ago in at least 9 of 10 rows; Transformer-XL with a memory of as many bytes answers at chance.',
  setting: `Two layers of encoder and one of decoder, 32 wide, segments of 16: ${factSetting}; 1,500 steps of 16 rows of up to 128 tokens, one seed, 128 rows judged. The paper trains on WikiText-103 and images.`,
  measure: 'tokenAcc',
  seeds: [0],
  equal: null,
  runs: [
    ...onFact('slots', 'memformer', { ...heads, slots: 8, writerHeads: 2, decoderLayers: 1, decoderHeads: 2 }, task),
    ...onFact('Transformer-XL', 'transformer-xl', { ...heads, dHead: 16, memory: 4 }, task),
  ],
  holds: onlyKnows('slots', 'Transformer-XL', lengths),
})
