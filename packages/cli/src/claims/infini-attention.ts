import { comparison } from './comparison.js'
import { factSetting, onFact } from './on-fact.js'

const lengths = [1024, 4096] as const
const task = { trained: 1024, shortest: 64, lengths, steps: 1000 }
const heads = { nLayers: 2, nHeads: 2, dHead: 16, dInner: 64 }

/** Munkhdalai et al. 2024, arXiv:2404.07143, table 3: a pass-key far back. */
export const infiniAttention = comparison({
  key: 'infini-attention',
  papers: ['infini-attention'],
  title: 'A pass-key beyond the window',
  sentence:
    'Infini-attention in segments of 64, trained on up to 1,024 tokens, knows the key after 1,024 in at least 9 of 10 rows; attention through a window of 64 answers at chance.',
  setting: `Two layers, 32 wide: ${factSetting}; 1,000 steps of 16 rows of up to 1,024 tokens, one seed, 128 rows judged; what becomes of it at 4,096 is in the table, and not part of the verdict. The paper finetunes 1B parameters and reads a million tokens.`,
  measure: 'tokenAcc',
  seeds: [0],
  equal: { what: 'parameters', within: 0.03 },
  runs: [
    ...onFact('infini-attention', 'infini-attention', { ...heads, segment: 64 }, task),
    ...onFact('window', 'transformer', { ...heads, nKvHeads: 2, window: 64 }, task),
  ],
  holds: (of) => of('infini-attention, 1024 tokens') >= 0.9 && of('window, 1024 tokens') < 0.4,
})
