import type { Claim, ClaimRun } from './claim.js'
import { shown } from './page.js'

const line = (paper: string, config: Readonly<Record<string, unknown>>): ClaimRun => ({
  label: paper,
  paper,
  config: { dModel: 64, ...config },
  task: 'novel',
  taskConfig: {},
  train: { steps: 1500, batch: 16, length: 64, evalEvery: 0, evalBatches: 32 },
  rates: [2e-3, 5e-3],
})

const recurrent = ['hgrn2', 'xlstm', 'mamba'] as const

/** Qin et al. 2024, arXiv:2404.07904; Beck et al. 2025, arXiv:2503.13427; Gu and Dao 2023, arXiv:2312.00752. */
export const novel: Claim = {
  key: 'novel',
  papers: ['hgrn2', 'xlstm', 'mamba'],
  title: 'Recurrent models and a transformer on a novel',
  sentence:
    'At equal parameters HGRN2, xLSTM and Mamba each model the novel with a loss no higher than the transformer.',
  setting:
    'Models of 110,000 parameters, 64 wide, on characters of the novel, the transformer through a window of 64: 1,500 steps of 16 rows of 64, the state carried from row to row, at the better of two learning rates on the validation split, one seed. The papers train 160M to 7B parameters on 15B tokens and more.',
  measure: 'lossNats',
  seeds: [0],
  equal: { what: 'parameters', within: 0.03 },
  runs: [
    line('transformer', { nLayers: 2, nHeads: 4, nKvHeads: 4, dHead: 16, dInner: 172, window: 64 }),
    line('hgrn2', { nLayers: 2, expansion: 16, dInner: 172 }),
    line('xlstm', { nLayers: 2, nHeads: 4, dInner: 172 }),
    line('mamba', { nLayers: 4, dInner: 112, dtRank: 4, dState: 8 }),
  ],
  verdict(row) {
    const nats = (paper: string): string => `${paper} ${shown('lossNats', row(paper).median)}`
    return {
      pass: recurrent.every((paper) => row(paper).median <= row('transformer').median),
      because: `${['transformer', ...recurrent].map(nats).join(', ')}.`,
    }
  },
}
