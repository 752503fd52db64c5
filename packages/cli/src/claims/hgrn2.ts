import type { ClaimRun } from './claim.js'
import { comparison } from './comparison.js'

const expansions = [2, 8, 32] as const
const label = (expansion: number): string => `heads ${expansion} wide`

/** Qin et al. 2024, arXiv:2404.07904, section 5.1: recall rises with the state's expansion. */
export const hgrn2 = comparison({
  key: 'hgrn2',
  papers: ['hgrn2'],
  title: 'State expansion on MQAR',
  sentence:
    'HGRN2 recalls more with heads 8 wide than 2 wide, and more still with a single one of 32, at equal parameters.',
  setting:
    'Two layers, 32 wide, with convolutions of width 4, 4 pairs in 16 tokens, a vocabulary of 32: 800 steps of 64 rows at the better of two learning rates on the validation split, one seed. The paper has 64 pairs and more, and models 64 to 512 wide.',
  measure: 'tokenAcc',
  seeds: [0],
  equal: { what: 'parameters', within: 0.01 },
  runs: expansions.map(
    (expansion): ClaimRun => ({
      label: label(expansion),
      paper: 'hgrn2',
      config: { dModel: 32, nLayers: 2, expansion, convWidth: 4, dInner: 64 },
      task: 'mqar',
      taskConfig: { vocab: 32, length: 16, pairs: 4, power: 1 },
      train: { steps: 800, batch: 64, evalEvery: 0, evalBatches: 16 },
      rates: [3e-3, 1e-2],
    }),
  ),
  holds: (of) => of(label(2)) < of(label(8)) && of(label(8)) < of(label(32)),
})
