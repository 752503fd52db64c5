import { comparison } from './comparison.js'
import { factSetting, onFact, onlyKnows } from './on-fact.js'

const lengths = [64, 128] as const
const task = { trained: 128, shortest: 16, lengths, steps: 1500 }
const heads = { nLayers: 2, nHeads: 2, dHead: 16, dInner: 64, block: 16 }

/** Hutchins et al. 2022, arXiv:2203.07852. */
export const blockRecurrentTransformer = comparison({
  key: 'block-recurrent-transformer',
  papers: ['block-recurrent-transformer'],
  title: 'A key carried over blocks',
  sentence:
    'With 8 recurrent vectors the block-recurrent transformer knows a key of 4 and of 8 blocks ago in at least 9 of 10 rows; without them it answers at chance.',
  setting: `Two layers, 32 wide, blocks of 16, vectors in the second layer: ${factSetting}; 1,500 steps of 16 rows of up to 128 tokens, one seed, 128 rows judged. The paper trains 151M parameters and more on books.`,
  measure: 'tokenAcc',
  seeds: [0],
  equal: null,
  runs: [
    ...onFact(
      'vectors',
      'block-recurrent-transformer',
      { ...heads, vectors: 8, recurrentLayers: [1], readLayers: [1] },
      task,
    ),
    ...onFact('no vectors', 'block-recurrent-transformer', { ...heads, recurrentLayers: [], readLayers: [] }, task),
  ],
  holds: onlyKnows('vectors', 'no vectors', lengths),
})
