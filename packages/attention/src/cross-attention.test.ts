import { normal, normalInit, Rng, valueAndGrads } from '@mneme/core-tensor'
import { read, span, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { concat, gather, ones, square, sum, type Tensor, tensor1d, tensor2d, zeros } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { CrossAttention } from './cross-attention.js'
import { SoftmaxAttention } from './softmax-attention.js'

const options = {
  dModel: 6,
  dContext: 5,
  nHeads: 4,
  nKvHeads: 2,
  dHead: 3,
  projection: { bias: false, init: normalInit(0.6) },
}

describe('CrossAttention', () => {
  test('tokens do not know of each other, and the order of the context does not matter', async () => {
    await within(async () => {
      const mixer = new CrossAttention(options, new Rng(1))
      const [x, c] = [normal(new Rng(2), [2, 4, 6], 1), normal(new Rng(3), [2, 7, 5], 1)]
      const whole = mixer.forward(x, mixer.context(c))
      const alone = mixer.forward(span(x, 2, 1), mixer.context(c))
      expectClose(await read(span(whole, 2, 1)), await read(alone), 1e-5, 'alone')
      const shuffled = gather(c, tensor1d([3, 0, 6, 2, 1, 5, 4], 'int32'), 1)
      expectClose(await read(mixer.forward(x, mixer.context(shuffled))), await read(whole), 1e-5, 'any order')
    })
  })

  test('the last token of a text over the whole text: as causal attention', async () => {
    await within(async () => {
      const same = { ...options, dContext: 6 }
      const cross = new CrossAttention(same, new Rng(4))
      const causal = new SoftmaxAttention({ ...same, window: 0, rotary: null }, new Rng(5))
      causal.loadStateDict(await cross.stateDict())
      const x = normal(new Rng(6), [2, 8, 6], 1)
      const last = cross.forward(span(x, 7, 1), cross.context(x))
      expectClose(await read(last), await read(span(causal.forward(x).y, 7, 1)), 1e-5, 'last')
    })
  })

  test('padding in the context is not seen; a row of nothing else gives zeros', async () => {
    await within(async () => {
      const mixer = new CrossAttention(options, new Rng(7))
      const [x, c] = [normal(new Rng(8), [1, 3, 6], 1), normal(new Rng(9), [1, 4, 5], 1)]
      const padded = concat([c, normal(new Rng(10), [1, 2, 5], 9)], 1)
      const masked = mixer.forward(x, mixer.context(padded, tensor2d([[1, 1, 1, 1, 0, 0]])))
      expectClose(await read(masked), await read(mixer.forward(x, mixer.context(c))), 1e-5, 'masked')
      const nothing = mixer.forward(x, mixer.context(c, zeros([1, 4])))
      expect(await read(nothing)).toEqual(new Float32Array(18))
    })
  })

  test('every parameter gets a gradient', async () => {
    await within(async () => {
      const mixer = new CrossAttention(options, new Rng(11))
      const [x, c] = [normal(new Rng(12), [2, 3, 6], 1), normal(new Rng(13), [2, 4, 5], 1)]
      const { grads } = valueAndGrads(() => sum(square(mixer.forward(x, mixer.context(c)))), mixer.parameters())
      for (const g of grads) {
        const values = await read(g as Tensor)
        expect(values.every(Number.isFinite)).toBe(true)
        expect(Math.max(...values.map(Math.abs))).toBeGreaterThan(1e-6)
      }
    })
  })

  test('shapes that do not fit are named', async () => {
    await within(async () => {
      const mixer = new CrossAttention(options, new Rng(14))
      expect(() => mixer.context(ones([1, 2, 4]))).toThrow(/CrossAttention.context c: expected/)
      expect(() => mixer.forward(ones([2, 2, 6]), mixer.context(ones([1, 2, 5])))).toThrow(/CrossAttention.forward x/)
      expect(() => new CrossAttention({ ...options, nKvHeads: 3 }, new Rng(0))).toThrow(/nKvHeads = 3, got 4/)
    })
  })
})
