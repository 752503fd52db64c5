import { normal, normalInit, Rng } from '@mneme/core-tensor'
import { describeMixer } from '@mneme/testing'
import { read, span, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { concat, reverse, softmax, type Tensor, type Tensor2D, tensor, tensor2d } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { EncoderAttention, type EncoderAttentionOptions } from './encoder-attention.js'

const D = 6
const options: EncoderAttentionOptions = {
  dModel: D,
  nHeads: 2,
  dHead: 4,
  distances: null,
  projection: { bias: true, init: normalInit(0.6) },
}
const table = { positions: 24, std: 0.6 }
const variants: Readonly<Record<string, Partial<EncoderAttentionOptions>>> = {
  'no distances': {},
  'distances of queries': { distances: { ...table, of: 'query' } },
  'distances of queries and keys': { distances: { ...table, of: 'query and key' } },
}

for (const [name, variant] of Object.entries(variants)) {
  describeMixer(
    `EncoderAttention, ${name}`,
    (seed) => new EncoderAttention({ ...options, ...variant }, new Rng(seed)) as never,
    D,
  )
}

describe('EncoderAttention', () => {
  test('without distances the order of tokens does not matter; with them it does', async () => {
    await within(async () => {
      const x = normal(new Rng(1), [1, 7, D], 1)
      for (const variant of Object.values(variants)) {
        const mixer = new EncoderAttention({ ...options, ...variant }, new Rng(2))
        const [there, back] = [mixer.forward(x).y, reverse(mixer.forward(reverse(x, 1)).y, 1)]
        if (variant.distances) expect(await read(back)).not.toEqual(await read(there))
        else expectClose(await read(back), await read(there), 1e-5, 'outputs')
      }
    })
  })

  test('distances by hand: two tokens, one head of width 1', async () => {
    await within(async () => {
      const [q, k, v] = [
        [1, -2],
        [3, 0.5],
        [10, 20],
      ] as const
      // e at distances -1, 0, 1
      const e = [0.3, -0.7, 1.1] as const
      const score = (i: 0 | 1, j: 0 | 1, both: boolean): number => {
        const at = e[(i - j + 1) as 0 | 1 | 2]
        return q[i] * k[j] + q[i] * at + (both ? k[j] * at : 0)
      }
      for (const both of [false, true]) {
        const of = both ? 'query and key' : 'query'
        const mixer = new EncoderAttention(
          { dModel: 3, nHeads: 1, dHead: 1, distances: { positions: 3, std: 1, of } },
          new Rng(0),
        )
        const value = (shape: number[], ...values: number[]) => ({ shape, values: Float32Array.from(values) })
        mixer.loadStateDict({
          'qProj.weight': value([1, 3], 1, 0, 0),
          'kProj.weight': value([1, 3], 0, 1, 0),
          'vProj.weight': value([1, 3], 0, 0, 1),
          'oProj.weight': value([3, 1], 1, 0, 0),
          'distances.weight': value([5, 1], 9, ...e, 9),
        })
        const x = tensor([[q, k, v].map((values) => values[0]), [q, k, v].map((values) => values[1])].flat(), [1, 2, 3])
        const expected: number[] = []
        for (const i of [0, 1] as const) {
          const weights = await read(softmax(tensor([score(i, 0, both), score(i, 1, both)])))
          expected.push((weights[0] as number) * v[0] + (weights[1] as number) * v[1], 0, 0)
        }
        expectClose(await read(mixer.forward(x).y), expected, 1e-5, of)
      }
    })
  })

  test('what stands at padding still sees the tokens', async () => {
    await within(async () => {
      const mixer = new EncoderAttention({ ...options, projection: { bias: false } }, new Rng(3))
      const x = normal(new Rng(4), [1, 5, D], 1)
      const mask = tensor2d([[1, 1, 1, 0, 0]]) as Tensor2D
      const y = mixer.forward(x, null, { training: false, mask }).y
      expect((await read(span(y, 3, 1))).every((value) => value !== 0)).toBe(true)
      const swapped = concat([span(x, 0, 4), span(normal(new Rng(5), [1, 5, D], 1), 4, 1)], 1) as Tensor
      const other = mixer.forward(swapped, null, { training: false, mask }).y
      expect(await read(span(other, 0, 4))).toEqual(await read(span(y, 0, 4)))
    })
  })

  test('more tokens than there are distances for are refused', () => {
    const mixer = new EncoderAttention({ ...options, distances: { positions: 3, std: 1, of: 'query' } }, new Rng(0))
    expect(() => mixer.forward(normal(new Rng(1), [1, 4, D], 1))).toThrow('expected at most 3 tokens, got 4')
  })
})
