import type { Claim, ClaimRun } from './claim.js'
import { shown } from './page.js'

const sizes = { dModel: 32, nLayers: 8, nHeads: 2, nKvHeads: 2, dHead: 16, dInner: 88 }

const line = (label: string, paper: string, more: object): ClaimRun => ({
  label,
  paper,
  config: { ...sizes, ...more },
  task: 'novel',
  taskConfig: {},
  train: { steps: 1500, batch: 8, length: 64, lr: 3e-3, carryState: false, evalEvery: 0, evalBatches: 64 },
})

/** Zhou et al. 2024, arXiv:2410.17897: values of the first layer, seen by all. */
export const resformerValueResidual: Claim = {
  key: 'resformer-value-residual',
  papers: ['resformer-value-residual'],
  title: 'Value residuals on a novel',
  sentence:
    'At equal parameters and tokens ResFormer models the novel with a lower loss than the transformer, on every seed, and SVFormer with half of its keys and values comes within 2 %.',
  setting:
    'Eight layers, 32 wide, characters of the novel: 1,500 steps of 8 rows of 64, the same for all; SVFormer, which has fewer projections, has a wider feed-forward instead. The paper trains 82M to 468M parameters on 20B tokens.',
  measure: 'lossNats',
  seeds: [0, 1],
  equal: { what: 'parameters', within: 0.02 },
  runs: [
    line('transformer', 'transformer', {}),
    line('ResFormer', 'resformer-value-residual', { variant: 'resformer' }),
    line('SVFormer', 'resformer-value-residual', { variant: 'svformer', dInner: 97 }),
  ],
  verdict(row) {
    const [plain, residual, single] = [row('transformer'), row('ResFormer'), row('SVFormer')]
    const nats = (value: number): string => shown('lossNats', value)
    return {
      pass: residual.high < plain.low && single.median < 1.02 * plain.median,
      because: `the worst loss of ResFormer is ${nats(residual.high)}, the best of the transformer ${nats(plain.low)}; medians ${nats(residual.median)} and ${nats(plain.median)}, of SVFormer ${nats(single.median)}.`,
    }
  },
}
