import type { ClaimRun } from './claim.js'
import { comparison } from './comparison.js'

const line = (label: string, paper: string, config: Readonly<Record<string, unknown>>): ClaimRun => ({
  label,
  paper,
  config: { dModel: 32, nLayers: 2, ...config },
  task: 'mqar',
  taskConfig: { vocab: 32, length: 16, pairs: 4, power: 1 },
  train: { steps: 800, batch: 64, evalEvery: 0, evalBatches: 16 },
  rates: [3e-3, 1e-2],
})

const states = [1, 4, 16] as const
const label = (dState: number): string => `Mamba-2, N = ${dState}`

/** Dao and Gu 2024, arXiv:2405.21060, section 9.1, figure 8. */
export const mamba2 = comparison({
  key: 'mamba2',
  papers: ['mamba2'],
  title: 'Recall of Mamba-2 by the size of its state',
  sentence:
    'Mamba-2 recalls at least 5 points more with N = 16 than with 1, no less with 4 than with 1, and at N = 16 at least 5 points more than Mamba of the same N.',
  setting:
    'Two layers, 32 wide, 64 channels, 4 pairs in 16 tokens, a vocabulary of 32: 800 steps of 64 rows at the better of two learning rates on the validation split, one seed. The paper has up to 256 pairs and models 32 to 256 wide.',
  measure: 'tokenAcc',
  seeds: [0],
  equal: null,
  runs: [
    ...states.map((dState) => line(label(dState), 'mamba2', { nHeads: 4, dHead: 16, dState })),
    line('Mamba, N = 16', 'mamba', { dInner: 64, dState: 16, dtRank: 2 }),
  ],
  holds: (of) =>
    of(label(16)) >= of(label(1)) + 0.05 && of(label(4)) >= of(label(1)) && of(label(16)) >= of('Mamba, N = 16') + 0.05,
})
