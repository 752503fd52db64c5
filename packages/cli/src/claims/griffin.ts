import type { ClaimRun } from './claim.js'
import { comparison } from './comparison.js'

const [trained, longer] = [64, 512]

const lines = (name: string, paper: string, config: Readonly<Record<string, unknown>>): ClaimRun[] =>
  [trained, longer].map((testLength) => ({
    label: `${name}, ${testLength} characters`,
    paper,
    config: { dModel: 64, nLayers: 3, nHeads: 4, dHead: 16, ...config },
    task: 'novel',
    taskConfig: {},
    train: { steps: 800, batch: 16, length: trained, lr: 3e-3, carryState: false, evalEvery: 0, evalBatches: 16 },
    testLength,
  }))

/** De et al. 2024, arXiv:2402.19427, section 6.1: beyond the trained length. */
export const griffin = comparison({
  key: 'griffin',
  papers: ['griffin'],
  title: 'Eight times the trained length on a novel',
  sentence:
    'Trained on rows of 64 characters and read in rows of 512, Hawk and Griffin have a lower loss than on rows of 64, while that of attention without a window is higher.',
  setting:
    'Three layers, 64 wide: 800 steps of 16 rows, nothing carried from row to row, one learning rate, one seed. The paper trains on rows of 2,048 and reads up to 32,768.',
  measure: 'lossNats',
  seeds: [0],
  equal: { what: 'parameters', within: 0.03 },
  runs: [
    ...lines('Griffin', 'griffin', { dInner: 192, window: 32 }),
    ...lines('Hawk', 'griffin', { dInner: 188, pattern: ['recurrent'] }),
    ...lines('attention', 'transformer', { dInner: 182, nKvHeads: 4, tieEmbeddings: true }),
  ],
  holds(of) {
    const gain = (name: string): number => of(`${name}, ${trained} characters`) - of(`${name}, ${longer} characters`)
    return gain('Griffin') > 0 && gain('Hawk') > 0 && gain('attention') < 0
  },
})
