import { valueAndGrads } from '@mneme/core-tensor'
import { read, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { mean, square, type Tensor, tensor2d } from '@tensorflow/tfjs-core'
import { expect, test } from 'vitest'
import blockwiseRing, { moreTiny } from './blockwise-ring.js'
import { createModel } from './registry.js'

test('in blocks and round a ring it is the transformer: scores and gradients', async () => {
  await within(async () => {
    const { schedule: _, queryBlock, keyBlock, devices, mlpBlock, ...llama } = blockwiseRing.tiny
    const plain = await createModel('transformer', llama)
    const weights = await plain.stateDict()
    const ids = tensor2d([Array.from({ length: 19 }, (_, t) => (t * t) % 13)], [1, 19], 'int32')
    const run = (model: typeof plain) => valueAndGrads(() => mean(square(model.forward(ids).y)), model.parameters())
    const expected = run(plain)
    for (const config of [blockwiseRing.tiny, ...Object.values(moreTiny)]) {
      const model = blockwiseRing.build(config)
      model.loadStateDict(
        Object.fromEntries(Object.entries(weights).map(([path, t]) => [path.replace('.mlp.', '.mlp.inner.'), t])),
      )
      expect(model.parameterCount()).toBe(plain.parameterCount())
      const actual = run(model)
      expectClose(await read(model.forward(ids).y), await read(plain.forward(ids).y), 1e-5, 'scores')
      for (const [i, g] of expected.grads.entries()) {
        expectClose(await read(actual.grads[i] as Tensor), await read(g as Tensor), 1e-4, `gradient ${i}`)
      }
      model.dispose()
    }
    plain.dispose()
  })
})

test('a window is refused', () => {
  expect(() => blockwiseRing.build({ ...blockwiseRing.tiny, window: 5 })).toThrow(/window: expected 0, got 5/)
})
