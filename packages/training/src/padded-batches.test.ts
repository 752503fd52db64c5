import { lossOf, type Pass, type TokenModel, valueAndGrads } from '@mneme/core-tensor'
import { createModel, loadPaper } from '@mneme/models'
import { add, engine, mul, slice, type Tensor, type Tensor2D, tensor2d } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { AdamW } from './optimizer.js'

/** Two rows: one of two documents with padding before them, one of a single document with padding behind it. */
const T = 12
const IDS = [
  [0, 0, 3, 1, 4, 1, 5, 2, 2, 6, 5, 3],
  [2, 7, 1, 8, 2, 8, 1, 8, 2, 0, 0, 0],
]
const TARGETS = [
  [0, 0, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5],
  [7, 1, 8, 2, 8, 1, 8, 2, 8, 0, 0, 0],
]
const DOCUMENTS = [
  { row: 0, begin: 2, size: 5 },
  { row: 0, begin: 7, size: 5 },
  { row: 1, begin: 0, size: 9 },
]
const COUNT = 19

const segmented = [
  'rmt',
  'rmt-1m',
  'block-recurrent-transformer',
  'transformer-xl',
  'compressive-transformer',
  'memformer',
  'titans',
  'landmark-attention',
]

describe('a padded batch of packed documents', () => {
  test.each(segmented)('%s: trains as on its documents, one by one', async (key) => {
    engine().startScope('padded')
    try {
      const { tiny } = await loadPaper(key)
      const models = await Promise.all([createModel(key, tiny), createModel(key, tiny)])
      const [together, apart] = models as [TokenModel, TokenModel]
      const [ids, targets] = [tensor2d(IDS, [2, T], 'int32'), tensor2d(TARGETS, [2, T], 'int32')]
      const places = (holds: (document: (typeof DOCUMENTS)[number], t: number) => boolean): Tensor2D =>
        tensor2d(
          IDS.map((row, r) => row.map((_, t) => (DOCUMENTS.some((d) => d.row === r && holds(d, t)) ? 1 : 0))),
        ) as Tensor2D
      const mask = places(({ begin, size }, t) => t >= begin && t < begin + size)
      const pass: Pass = { training: true, mask, resets: places(({ begin }, t) => t === begin) }
      const part = (of: Tensor, { row, begin, size }: (typeof DOCUMENTS)[number]): Tensor =>
        slice(of, [row, begin], [1, size])
      const losses = [
        () => lossOf(together, ids, targets, { mask, pass }).loss,
        () =>
          DOCUMENTS.map((document) =>
            mul(lossOf(apart, part(ids, document), part(targets, document)).loss, document.size / COUNT),
          ).reduce((total, loss) => add(total, loss)),
      ] as const
      const before: number[] = []
      for (const [i, loss] of losses.entries()) {
        const optimizer = new AdamW(models[i] as TokenModel, { beta1: 0.9, beta2: 0.99, eps: 1e-8, weightDecay: 0 })
        for (let step = 0; step < 2; step++) {
          const { value, grads } = valueAndGrads(loss, optimizer.parameters)
          before.push((await value.data())[0] as number)
          optimizer.step(grads, 0.01)
        }
      }
      for (const step of [0, 1]) expect(before[step], `loss of step ${step}`).toBeCloseTo(before[step + 2] as number, 4)
      expect(before[1]).toBeLessThan(before[0] as number)
    } finally {
      engine().endScope()
    }
  })
})
