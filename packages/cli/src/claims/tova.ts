import type { ClaimRun } from './claim.js'
import { comparison } from './comparison.js'

const policies = ['tova', 'h2o', 'window', 'sinks'] as const
const [capacity, length] = [16, 128]
const model = { dModel: 64, nLayers: 2, nHeads: 4, nKvHeads: 4, dHead: 16, dInner: 172 }

const line = (label: string, readBy?: ClaimRun['readBy']): ClaimRun => ({
  label,
  paper: 'transformer',
  config: model,
  task: 'novel',
  taskConfig: {},
  train: { steps: 800, batch: 16, length, lr: 3e-3, evalEvery: 0, evalBatches: 8 },
  ...(readBy && { readBy }),
})

/** Oren et al. 2024, arXiv:2401.06104, figure 2. */
export const tova = comparison({
  key: 'tova',
  papers: ['tova'],
  title: 'Caches of 16 keys on a novel',
  sentence:
    'A trained transformer that keeps 16 keys of up to 128 has a lower loss on the novel with TOVA than with H2O, with a window, and with a window and 4 first keys.',
  setting:
    'Two layers, 64 wide, trained once with all keys: 800 steps of 16 rows of 128 characters, one learning rate, one seed; then read by each policy, token by token. The paper reads books with LLaMA 7B and caches of 128 to 4,096.',
  measure: 'lossNats',
  seeds: [0],
  equal: { what: 'parameters', within: 0 },
  runs: [
    line('all keys'),
    ...policies.map((policy) => line(policy, { paper: 'tova', config: { ...model, policy, capacity, sinks: 4 } })),
  ],
  holds: (of) => policies.every((policy) => policy === 'tova' || of('tova') < of(policy)),
})
