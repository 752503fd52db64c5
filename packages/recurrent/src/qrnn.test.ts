import { minGru, normal, Rng } from '@mneme/core-tensor'
import { read, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { concat, fill, neg, slice, split, sub, type Tensor, tanh, type Variable, zeros } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { QRNN } from './qrnn.js'

const D = 3
const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x))

describe('QRNN', () => {
  test.each([
    ['f', 2],
    ['fo', 3],
    ['ifo', 4],
  ] as const)('pooling %s has %i k D² + parts D parameters', (pooling, parts) => {
    const k = 3
    const mixer = new QRNN({ dModel: D, width: k, pooling }, new Rng(1))
    const sizes = mixer.parameters().map(({ size }) => size)
    expect(sizes.reduce((sum, size) => sum + size)).toBe(parts * k * D * D + parts * D)
    mixer.dispose()
  })

  test.each(['f', 'fo', 'ifo'] as const)('pooling %s: the scan is the loop', async (pooling) => {
    await within(async () => {
      const [T, P] = [30, 1 + pooling.length]
      const mixer = new QRNN({ dModel: D, width: 1, pooling }, new Rng(2))
      const x = normal(new Rng(3), [1, T, D], 2)
      const parts = await read(mixer.projection.forward(x))
      const expected: number[] = []
      const c = [0, 0, 0]
      for (let t = 0; t < T; t++) {
        for (let d = 0; d < D; d++) {
          const part = (p: number): number => parts[(t * P + p) * D + d] as number
          const f = sigmoid(part(1))
          const taken = pooling === 'ifo' ? sigmoid(part(3)) : 1 - f
          c[d] = f * (c[d] as number) + taken * Math.tanh(part(0))
          expected.push((pooling === 'f' ? 1 : sigmoid(part(2))) * (c[d] as number))
        }
      }
      expectClose(await read(mixer.forward(x).y), expected, 1e-5, 'outputs')
      mixer.dispose()
    })
  })

  test('of width 1, with candidates above 1/2, is minGRU whose gate is 1 − f', async () => {
    await within(async () => {
      const mixer = new QRNN({ dModel: D, width: 1, pooling: 'f' }, new Rng(4))
      const x = normal(new Rng(5), [2, 19, D], 1)
      // the candidate passes tanh here and g there, g(y) = y + 1/2 from 0 on: y = tanh(z) - 1/2 where tanh(z) > 1/2
      const bias = concat([fill([D], 6), slice(mixer.projection.bias as Variable, [D], [D])])
      mixer.projection.bias?.assign(bias)
      const [z, f] = split(mixer.projection.forward(x), 2, 2) as [Tensor, Tensor]
      const { h } = minGru({ projected: concat([sub(tanh(z), 0.5), neg(f)], 2), h0: zeros([2, D]) })
      expectClose(await read(mixer.forward(x).y), await read(h), 1e-5, 'outputs')
      mixer.dispose()
    })
  })
})
