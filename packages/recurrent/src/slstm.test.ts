import { normal, Rng, slstm } from '@mneme/core-tensor'
import { read, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { concat, fill, ones, type Tensor, zeros } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { SLSTM } from './slstm.js'

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x))

describe('sLSTM', () => {
  test('by hand: i = f = 0 and z, o large give c = n, and h = 1 at every token', async () => {
    await within(async () => {
      const [gates, large] = [zeros([1, 7, 4]), fill([1, 7, 4], 100)]
      const projected = concat([gates, large], 2)
      const { h, c, n } = slstm({ projected, weight: zeros([1, 8, 2]) })
      expectClose(await read(h), new Array(14).fill(1), 1e-6, 'h')
      expectClose(await read(c), await read(n), 1e-6, 'c and n')
    })
  })

  test('stabilised is the plain recurrence', async () => {
    await within(async () => {
      const T = 20
      const projected = normal(new Rng(1), [1, T, 4], 1)
      const weight = normal(new Rng(2), [1, 4, 1], 0.7)
      const [p, r] = await Promise.all([projected, weight].map(read))
      let [h, c, n] = [0, 0, 0]
      const expected: number[] = []
      for (let t = 0; t < T; t++) {
        const gate = (g: number): number => (p?.[4 * t + g] as number) + (r?.[g] as number) * h
        const [i, f, z, o] = [Math.exp(gate(0)), sigmoid(gate(1)), Math.tanh(gate(2)), sigmoid(gate(3))]
        c = f * c + i * z
        n = f * n + i
        h = (o * c) / n
        expected.push(h)
      }
      expectClose(await read(slstm({ projected, weight }).h), expected, 1e-5, 'h')
    })
  })

  test('huge gates stay finite, and outputs inside (-1, 1)', async () => {
    await within(async () => {
      const projected = normal(new Rng(3), [2, 30, 12], 300)
      const { h, c, n } = slstm({ projected, weight: normal(new Rng(4), [1, 12, 3], 1) })
      const [memory, norm] = await Promise.all([c, n].map(read))
      for (const value of await read(h)) expect(Math.abs(value)).toBeLessThanOrEqual(1)
      for (const [at, value] of (memory as Float32Array).entries()) {
        expect(Math.abs(value)).toBeLessThanOrEqual((norm?.[at] as number) * (1 + 1e-6))
      }
    })
  })

  test('heads do not see each other', async () => {
    await within(async () => {
      const mixer = new SLSTM({ dModel: 6, nHeads: 2, convWidth: 4, depth: 0.5, normEps: 1e-5 }, new Rng(5))
      mixer.recurrentWeight.assign(normal(new Rng(6), [2, 12, 3], 0.5))
      const left = normal(new Rng(7), [1, 9, 3], 1)
      const leftOf = async (right: Tensor): Promise<number[]> => {
        const y = await read(mixer.forward(concat([left, right], 2)).y)
        return [...y].filter((_, at) => at % 6 < 3)
      }
      expectClose(await leftOf(ones([1, 9, 3])), await leftOf(normal(new Rng(8), [1, 9, 3], 2)), 1e-6, 'left head')
      mixer.dispose()
    })
  })

  test('biases of the forget gate run from 5 to -7 over each head', async () => {
    await within(async () => {
      const mixer = new SLSTM({ dModel: 6, nHeads: 2, convWidth: 4, depth: 0, normEps: 1e-5 }, new Rng(9))
      const middle = 5 - 12 * 0.5 ** 0.3
      const zero = new Array(6).fill(0) as number[]
      const expected = [...zero, 5, middle, -7, 5, middle, -7, ...zero, ...zero]
      expectClose(await read(mixer.bias), expected, 1e-6, 'bias')
      mixer.dispose()
    })
  })
})
