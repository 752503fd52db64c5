import type { Claim, ClaimRun } from './claim.js'
import { shown } from './page.js'

const [trained, longer] = [64, 512]

const lines = (name: string, paper: string): ClaimRun[] =>
  [trained, longer].map((testLength) => ({
    label: `${name}, ${testLength} tokens`,
    paper,
    config: { dModel: 64, nLayers: 2, nHeads: 4, nKvHeads: 4, dInner: 172 },
    task: 'novel',
    taskConfig: {},
    train: { steps: 1500, batch: 16, length: trained, lr: 3e-3, carryState: false, evalEvery: 0, evalBatches: 16 },
    testLength,
  }))

/** Lin et al. 2025, arXiv:2503.02130: a forget gate on attention. */
export const forgettingTransformer: Claim = {
  key: 'forgetting-transformer',
  papers: ['forgetting-transformer'],
  title: 'Length extrapolation on a novel',
  sentence:
    'Read in rows of 512 characters after training on rows of 64, the forgetting transformer has a lower loss than on rows of 64, and a lower one than a transformer with rotary positions on the same rows.',
  setting:
    'Two layers, 64 wide, characters of the novel: 1,500 steps of 16 rows of 64, nothing carried from row to row, two seeds. The paper trains 760M parameters on rows of 16,384 tokens.',
  measure: 'lossNats',
  seeds: [0, 1],
  equal: { what: 'parameters', within: 0.02 },
  runs: [...lines('transformer', 'transformer'), ...lines('forgetting transformer', 'forgetting-transformer')],
  verdict(row) {
    const of = (name: string, length: number): number => row(`${name}, ${length} tokens`).median
    const [short, long] = [of('forgetting transformer', trained), of('forgetting transformer', longer)]
    const [plainShort, plainLong] = [of('transformer', trained), of('transformer', longer)]
    const nats = (value: number): string => shown('lossNats', value)
    return {
      pass: long < short && long < plainLong,
      because: `from 64 to 512 characters the loss of the forgetting transformer goes from ${nats(short)} to ${nats(long)}, that of the transformer from ${nats(plainShort)} to ${nats(plainLong)}.`,
    }
  },
}
