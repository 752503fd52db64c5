import type { ClaimRun } from './claim.js'
import { comparison } from './comparison.js'

const line = (label: string, nLayers: number): ClaimRun => ({
  label,
  paper: 'transformer',
  config: { dModel: 64, nLayers, nHeads: 1, nKvHeads: 1, dHead: 64, dInner: 128 },
  task: 'mqar',
  taskConfig: { vocab: 64, length: 64, pairs: 4 },
  train: { steps: 1500, batch: 32, evalEvery: 0, evalBatches: 16 },
  rates: [1e-3, 3e-3],
})

/** Arora et al. 2023, arXiv:2312.04927; Olsson et al. 2022, arXiv:2209.11895: recall takes an induction head. */
export const transformer = comparison({
  key: 'transformer',
  papers: ['transformer'],
  title: 'Two layers of attention on MQAR',
  sentence: 'Two layers of attention recall at least 98 % of 4 pairs among 64 tokens, and one layer less than that.',
  setting:
    '64 wide, one head, a vocabulary of 64: 1,500 steps of 32 rows at the better of two learning rates on the validation split, one seed. The paper has up to 64 pairs, and a vocabulary of 8,192.',
  measure: 'tokenAcc',
  seeds: [0],
  equal: null,
  runs: [line('2 layers', 2), line('1 layer', 1)],
  holds: (of) => of('2 layers') >= 0.98 && of('1 layer') < 0.98,
})
