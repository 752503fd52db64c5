import type { ClaimRun } from './claim.js'
import { comparison } from './comparison.js'

const [trained, longer] = [256, 1024]

const lines = (name: string, paper: string, config: Readonly<Record<string, unknown>>): ClaimRun[] =>
  [trained, longer].map((testLength) => ({
    label: `${name}, ${testLength} tokens`,
    paper,
    config: { dModel: 32, nLayers: 2, nHeads: 2, dHead: 16, ...config },
    task: 'majority',
    taskConfig: { symbols: 4, length: trained, lead: 0.2 },
    train: { steps: 600, batch: 16, lr: 3e-3, evalEvery: 0, evalBatches: 32 },
    testLength,
  }))

/** Feng et al. 2024, arXiv:2405.13956: attention with a learned query, as a recurrence. */
export const aaren = comparison({
  key: 'aaren',
  papers: ['aaren'],
  title: 'Attention as a recurrence on long sequences',
  sentence:
    'Aaren names the most frequent symbol of 256 tokens, and of 1,024, at most 2 points less often than a transformer, from a state that does not grow.',
  setting:
    'Two layers, 32 wide; four symbols, one of them drawn more often: 600 steps of 16 rows of 256, one learning rate, one seed. The paper has 38 datasets of reinforcement learning, events, forecasting and classification.',
  measure: 'tokenAcc',
  seeds: [0],
  equal: { what: 'parameters', within: 0.03 },
  runs: [
    ...lines('Aaren', 'aaren', { dInner: 91, postNorm: false }),
    ...lines('transformer', 'transformer', { nKvHeads: 2, dInner: 64 }),
  ],
  holds: (of) =>
    [trained, longer].every((length) => of(`Aaren, ${length} tokens`) >= of(`transformer, ${length} tokens`) - 0.02),
})
