import type { ClaimRun } from './claim.js'
import { comparison } from './comparison.js'

const decoder = { dModel: 32, nLayers: 2, nHeads: 2, nKvHeads: 2, dHead: 16, dInner: 64 }

const line = (label: string, paper: string, config: Readonly<Record<string, unknown>>): ClaimRun => ({
  label,
  paper,
  config: { ...decoder, ...config },
  startsFrom: { paper: 'transformer', config: decoder },
  task: 'mqar',
  taskConfig: { vocab: 32, length: 16, pairs: 4, power: 1 },
  train: { steps: 800, batch: 64, evalEvery: 0, evalBatches: 16 },
  rates: [3e-3, 1e-2],
})

/** Fang et al. 2025, arXiv:2510.07318: what leaves the window goes into a compressed memory. */
export const artificialHippocampus = comparison({
  key: 'artificial-hippocampus',
  papers: ['artificial-hippocampus'],
  title: 'A compressed memory behind a window',
  sentence:
    'A trained transformer that is left a window of 4 tokens, and trained on with a recurrent memory behind it, recalls at least 20 points more than with the window alone, and at least 90 % of what it does with full attention.',
  setting:
    'Two layers, 32 wide, 4 pairs in 16 tokens, a vocabulary of 32: 800 steps of 64 rows with full attention and as many of each kind, at the better of two learning rates on the validation split, one seed. The paper trains the memory alone, and by distillation, for up to 128,000 tokens.',
  measure: 'tokenAcc',
  seeds: [0],
  equal: { what: 'parameters', within: 0.06 },
  runs: [
    line('memory and window', 'artificial-hippocampus', { window: 4, sinks: 0 }),
    line('window', 'transformer', { window: 4 }),
    line('full attention', 'transformer', {}),
  ],
  holds: (of) => of('memory and window') >= of('window') + 0.2 && of('memory and window') >= 0.9 * of('full attention'),
})
