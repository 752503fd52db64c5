import { type Linear, normal, normalInit, Rng, softmaxAttention } from '@mneme/core-tensor'
import { read, span, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { fill, mul, ones, reshape, type Tensor, tensor, zeros } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { PersistentAttention } from './persistent-attention.js'

const D = 6
const options = {
  dModel: D,
  nHeads: 2,
  dHead: 3,
  span: 4,
  slots: 5,
  projection: { bias: false, init: normalInit(0.6) },
}

describe('PersistentAttention', () => {
  test('is attention over the keys before and the scaled slots together, query by query', async () => {
    await within(async () => {
      const mixer = new PersistentAttention(options, new Rng(1))
      const T = 9
      const x = normal(new Rng(2), [1, T, D], 1)
      const [q, k, v, P, R, u] = (await Promise.all(
        [
          mixer.qProj.forward(x),
          mixer.kProj.forward(x),
          mixer.vProj.forward(x),
          mixer.slotKeys as Tensor,
          mixer.slotValues as Tensor,
          mixer.distanceKeys,
        ].map(read),
      )) as [Float32Array, Float32Array, Float32Array, Float32Array, Float32Array, Float32Array]
      const o = new Float32Array(T * D)
      for (let h = 0; h < 2; h++) {
        for (let t = 0; t < T; t++) {
          const dot = (key: (c: number) => number): number =>
            [0, 1, 2].reduce((sum, c) => sum + (q[t * D + h * 3 + c] as number) * key(c), 0) / Math.sqrt(3)
          const seen: { score: number; value: (c: number) => number }[] = []
          for (let j = Math.max(0, t - 4); j < t; j++) {
            const key = (c: number): number => (k[j * D + h * 3 + c] as number) + (u[(t - j - 1) * 3 + c] as number)
            seen.push({ score: dot(key), value: (c) => v[j * D + h * 3 + c] as number })
          }
          for (let n = 0; n < 5; n++) {
            const key = (c: number): number => Math.sqrt(3) * (P[(h * 5 + n) * 3 + c] as number)
            seen.push({ score: dot(key), value: (c) => Math.sqrt(5) * (R[(h * 5 + n) * 3 + c] as number) })
          }
          const total = seen.reduce((sum, { score }) => sum + Math.exp(score), 0)
          for (let c = 0; c < 3; c++) {
            o[t * D + h * 3 + c] = seen.reduce((sum, { score, value }) => sum + (Math.exp(score) / total) * value(c), 0)
          }
        }
      }
      const expected = await read(mixer.oProj.forward(tensor(o, [1, T, D])))
      expectClose(await read(mixer.forward(x).y), expected, 1e-5, 'outputs')
    })
  })

  test('without slots it is plain attention to the tokens before, and the first token reads nothing', async () => {
    await within(async () => {
      const T = 5
      const mixer = new PersistentAttention({ ...options, span: T, slots: 0 }, new Rng(5))
      mixer.distanceKeys.assign(zeros([T, 3]))
      const x = normal(new Rng(6), [1, T, D], 1)
      const heads = (map: Linear, begin: number): Tensor =>
        reshape(map.forward(span(x, begin, T - 1)), [1, T - 1, 2, 3])
      // query t at the key of token t − 1
      const { o } = softmaxAttention({ q: heads(mixer.qProj, 1), k: heads(mixer.kProj, 0), v: heads(mixer.vProj, 0) })
      const expected = mixer.oProj.forward(reshape(o, [1, T - 1, D]))
      const { y } = mixer.forward(x)
      expectClose(await read(span(y, 1, T - 1)), await read(expected), 1e-5, 'outputs')
      expect([...(await read(span(y, 0, 1)))]).toEqual(Array(D).fill(0))
      expect(mixer.parameterCount()).toBe(4 * D * D + T * 3)
      mixer.dispose()
    })
  })

  test('without slots it is attention with slots that no query looks at, distances and span too', async () => {
    await within(async () => {
      const projection = { ...options.projection, bias: true }
      const slotted = new PersistentAttention({ ...options, projection }, new Rng(5))
      const plain = new PersistentAttention({ ...options, projection, slots: 0 }, new Rng(6), slotted.distanceKeys)
      // all queries have the same first feature, and all slots are far against it
      const first = tensor(
        Float32Array.from({ length: D * D }, (_, n) => (Math.floor(n / D) % 3 === 0 ? 0 : 1)),
        [D, D],
      )
      slotted.qProj.weight.assign(mul(slotted.qProj.weight, first))
      slotted.qProj.bias?.assign(tensor(Float32Array.from({ length: D }, (_, n) => (n % 3 === 0 ? 1 : 0))))
      slotted.slotKeys?.assign(
        tensor(
          Float32Array.from({ length: 30 }, (_, n) => (n % 3 === 0 ? -1e4 : 0)),
          [2, 5, 3],
        ),
      )
      const { slotKeys: _k, slotValues: _v, ...shared } = await slotted.stateDict()
      plain.loadStateDict(shared)
      const x = normal(new Rng(7), [2, 11, D], 1)
      const [beside, alone] = await Promise.all([slotted, plain].map((mixer) => read(span(mixer.forward(x).y, 1, 10))))
      expectClose(alone as Float32Array, beside as Float32Array, 1e-5, 'outputs')
    })
  })

  test('equal values of tokens and slots come out as they are: weights sum to 1 over both', async () => {
    await within(async () => {
      const mixer = new PersistentAttention({ ...options, projection: { bias: true } }, new Rng(7))
      mixer.vProj.weight.assign(zeros([D, D]))
      mixer.vProj.bias?.assign(ones([D]))
      mixer.slotValues?.assign(fill([2, 5, 3], 5 ** -0.5))
      const y = await read(mixer.forward(normal(new Rng(8), [1, 7, D], 2)).y)
      const alone = await read(mixer.oProj.forward(ones([1, D])))
      for (let t = 0; t < 7; t++) expectClose(y.slice(t * D, (t + 1) * D), alone, 1e-5, `token ${t}`)
    })
  })

  test('the first token sees the slots alone, and no token its own value', async () => {
    await within(async () => {
      const mixer = new PersistentAttention(options, new Rng(3))
      const x = normal(new Rng(4), [1, 3, D], 1)
      const before = await read(mixer.forward(x).y)
      mixer.vProj.weight.assign(fill([D, D], 0))
      const without = await read(mixer.forward(x).y)
      expectClose(without.slice(0, D), before.slice(0, D), 1e-6, 'first')
      expect(Math.abs((without[D] as number) - (before[D] as number))).toBeGreaterThan(1e-3)
      const alone = await read(mixer.forward(span(x, 0, 1)).y)
      expectClose(alone, before.slice(0, D), 1e-6, 'alone')
    })
  })

  test('4 D² + 2 N D values a layer and one table of distances, which layers may share', () => {
    const first = new PersistentAttention(options, new Rng(0))
    const second = new PersistentAttention(options, new Rng(1), first.distanceKeys)
    expect(first.parameterCount()).toBe(4 * D * D + 2 * 5 * D + 4 * 3)
    expect(second.distanceKeys).toBe(first.distanceKeys)
    for (const mixer of [first, second]) mixer.dispose()
  })

  test('no span is refused, nor are there fewer slots than none', () => {
    expect(() => new PersistentAttention({ ...options, span: 0 }, new Rng(0))).toThrow(/span: expected .* got 0/)
    expect(() => new PersistentAttention({ ...options, slots: -1 }, new Rng(0))).toThrow(/slots: expected .* got -1/)
  })
})
