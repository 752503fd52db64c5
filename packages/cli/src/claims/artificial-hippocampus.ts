import type { ClaimRun } from './claim.js'
import { comparison } from './comparison.js'

const line = (label: string, paper: string, config: Readonly<Record<string, unknown>>): ClaimRun => ({
  label,
  paper,
  config: { dModel: 32, nLayers: 2, nHeads: 2, nKvHeads: 2, dHead: 16, ...config },
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
    'With a recurrent memory behind its window of 4 tokens attention recalls at least 20 points more than through the window alone, and at least 90 % of what full attention does.',
  setting:
    'Two layers, 32 wide, 4 pairs in 16 tokens, a vocabulary of 32: 800 steps of 64 rows at the better of two learning rates on the validation split, one seed, trained from the start. The paper adds memories to finished models and distils them, for up to 128,000 tokens.',
  measure: 'tokenAcc',
  seeds: [0],
  equal: { what: 'parameters', within: 0.05 },
  runs: [
    line('memory and window', 'artificial-hippocampus', { window: 4, sinks: 0, dInner: 64, outputStd: 0.02 }),
    line('window', 'transformer', { window: 4, dInner: 70 }),
    line('full attention', 'transformer', { dInner: 70 }),
  ],
  holds: (of) => of('memory and window') >= of('window') + 0.2 && of('memory and window') >= 0.9 * of('full attention'),
})
