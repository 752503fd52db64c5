import { comparison } from './comparison.js'
import { factSetting, onFact } from './on-fact.js'

const lengths = [50, 200] as const
const task = { trained: 200, shortest: 10, lengths, steps: 3000, rates: [1e-3, 4e-3] }

/** Pramanik et al. 2023, arXiv:2310.15719, section 4.1: the T-maze. */
export const recurrentLinearTransformers = comparison({
  key: 'recurrent-linear-transformers',
  papers: ['recurrent-linear-transformers'],
  title: 'A cue kept through a corridor',
  sentence: 'After corridors of 50 and of 200 tokens AReLiT knows the cue at least as often as an LSTM.',
  setting: `32 wide, two layers, 8 components: ${factSetting}; 3,000 steps of 16 rows of up to 200 tokens at the better of two learning rates on the validation split, one seed, 128 rows judged. The paper learns T-mazes by reinforcement.`,
  measure: 'tokenAcc',
  seeds: [0],
  equal: null,
  runs: [
    ...onFact('AReLiT', 'recurrent-linear-transformers', { nLayers: 2, nHeads: 2, dHead: 16, components: 8 }, task),
    ...onFact('LSTM', 'gru', { nLayers: 2, cell: 'LSTM' }, task),
  ],
  holds: (of) => lengths.every((length) => of(`AReLiT, ${length} tokens`) >= of(`LSTM, ${length} tokens`)),
})
