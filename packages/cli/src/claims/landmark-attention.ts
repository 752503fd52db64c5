import { comparison } from './comparison.js'
import { factSetting, onFact, onlyKnows } from './on-fact.js'

const lengths = [128, 2048] as const
const task = { trained: 128, shortest: 32, lengths, steps: 1500, rows: 32 }
const heads = { nLayers: 2, nHeads: 2, dHead: 16, dInner: 64 }

/** Mohtashami and Jaggi 2023, arXiv:2305.16300, section 4.2. */
export const landmarkAttention = comparison({
  key: 'landmark-attention',
  papers: ['landmark-attention'],
  title: 'A key retrieved by its landmark',
  sentence:
    'Landmark attention that looks into two blocks knows the key after 128 tokens, as it was trained, and after 2,048, in at least 9 of 10 rows; a window of as many tokens answers at chance.',
  setting: `Two layers, 32 wide, blocks of 15: ${factSetting}; 1,500 steps of 16 rows of up to 128 tokens, one seed, 32 rows judged. The paper extends LLaMA 7B from 2,000 tokens to 32,000.`,
  measure: 'tokenAcc',
  seeds: [0],
  equal: { what: 'parameters', within: 0.03 },
  runs: [
    ...onFact('landmarks', 'landmark-attention', { ...heads, block: 15, retrieved: 2, inserts: true }, task),
    ...onFact('window', 'transformer', { ...heads, nKvHeads: 2, window: 45 }, task),
  ],
  holds: onlyKnows('landmarks', 'window', lengths),
})
