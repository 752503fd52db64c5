import type { Claim, ClaimRun } from './claim.js'
import { shown } from './page.js'

const depths = [1, 2, 3] as const
const label = (depth: number): string => `${depth} ${depth === 1 ? 'layer' : 'layers'}`

/** Feng et al. 2024, arXiv:2410.01201: gates that see one token need a layer below them to know where they are. */
export const minRnn: Claim = {
  key: 'min-rnn',
  papers: ['min-rnn'],
  title: 'Selective copying by depth',
  sentence:
    'A minGRU of two layers copies selectively better than one of a single layer, and one of three at least as well as two.',
  setting:
    'minGRU, 32 wide, on selective copying of 4 symbols out of 8 among 40 tokens: 2,000 steps of 16 rows. The paper reads 4,096 tokens. Widths are equal, so parameters grow with depth, as they do there.',
  measure: 'tokenAcc',
  seeds: [0, 1, 2],
  equal: null,
  runs: depths.map(
    (nLayers): ClaimRun => ({
      label: label(nLayers),
      paper: 'min-rnn',
      config: { dModel: 32, nLayers },
      task: 'selective-copying',
      taskConfig: { vocab: 10, length: 40, data: 4 },
      train: { steps: 2000, batch: 16, lr: 4e-3, evalEvery: 0, evalBatches: 32 },
    }),
  ),
  verdict(row) {
    const [one, two, three] = [row(label(1)), row(label(2)), row(label(3))]
    const reached = [one, two, three].map((r) => `${r.label} ${shown('tokenAcc', r.median)}`).join(', ')
    return {
      pass: two.low > one.high && three.median >= two.median,
      because: `${reached}; the worst seed of two layers must beat the best of one, and the median of three that of two.`,
    }
  },
}
