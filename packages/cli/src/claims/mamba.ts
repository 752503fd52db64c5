import type { ClaimRun } from './claim.js'
import { comparison } from './comparison.js'

const line = (label: string, paper: string, config: Readonly<Record<string, unknown>>): ClaimRun => ({
  label,
  paper,
  config: { dModel: 32, nLayers: 2, ...config },
  task: 'selective-copying',
  taskConfig: { vocab: 10, length: 40, data: 4 },
  train: { steps: 2000, batch: 16, evalEvery: 0, evalBatches: 32 },
  rates: [4e-3, 8e-3],
})

/** Gu and Dao 2023, arXiv:2312.00752, table 1: what the token decides, a fixed recurrence cannot do. */
export const mamba = comparison({
  key: 'mamba',
  papers: ['mamba'],
  title: 'A selective scan on selective copying',
  sentence: 'Mamba copies selectively at least 95 % of tokens; RetNet, whose decays are fixed, does not.',
  setting:
    'Two layers, 32 wide, 4 symbols out of 8 among 40 tokens: 2,000 steps of 16 rows at the better of two learning rates on the validation split, one seed. The paper reads 4,096 tokens and compares with S4, whose transitions are fixed as those of RetNet are.',
  measure: 'tokenAcc',
  seeds: [0],
  equal: { what: 'parameters', within: 0.03 },
  runs: [
    line('Mamba', 'mamba', { dInner: 64, dState: 16, dtRank: 2 }),
    line('RetNet', 'retnet', { nHeads: 2, dInner: 16 }),
  ],
  holds: (of) => of('Mamba') >= 0.95 && of('RetNet') < 0.95,
})
