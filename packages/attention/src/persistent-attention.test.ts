import { normal, normalInit, Rng } from '@mneme/core-tensor'
import { read, span, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { fill, tensor } from '@tensorflow/tfjs-core'
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
          mixer.slotKeys,
          mixer.slotValues,
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

  test('no span and no slots are refused', () => {
    expect(() => new PersistentAttention({ ...options, span: 0 }, new Rng(0))).toThrow(/span: expected .* got 0/)
    expect(() => new PersistentAttention({ ...options, slots: 0 }, new Rng(0))).toThrow(/slots: expected .* got 0/)
  })
})
