import { comparison } from './comparison.js'
import { factSetting, onFact, onlyKnows } from './on-fact.js'

const lengths = [96, 128] as const
const task = { trained: 128, shortest: 16, lengths, steps: 1500 }
const heads = { nLayers: 2, nHeads: 2, dHead: 16, dInner: 64, segment: 16 }

/** Rae et al. 2019, arXiv:1911.05507. */
export const compressiveTransformer = comparison({
  key: 'compressive-transformer',
  papers: ['compressive-transformer'],
  title: 'A fact beyond the reach of Transformer-XL',
  sentence:
    'With 16 tokens and 16 compressed slots a layer, the Compressive Transformer knows a fact of 6 and of 8 segments ago in at least 9 of 10 rows; Transformer-XL with a memory of 32 answers at chance.',
  setting: `Two layers, 32 wide, segments of 16, four tokens a slot: ${factSetting}; 1,500 steps of 16 rows of up to 128 tokens, gradients through all segments of a row, one seed, 128 rows judged. The paper trains on PG-19 and Enwik8.`,
  measure: 'tokenAcc',
  seeds: [0],
  equal: { what: 'parameters', within: 0.1 },
  runs: [
    ...onFact(
      'compressed',
      'compressive-transformer',
      { ...heads, memory: 16, compressed: 16, rate: 4, cut: false },
      task,
    ),
    ...onFact('Transformer-XL', 'transformer-xl', { ...heads, memory: 32 }, task),
  ],
  holds: onlyKnows('compressed', 'Transformer-XL', lengths),
})
