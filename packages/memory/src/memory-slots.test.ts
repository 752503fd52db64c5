import { normal, Rng } from '@mneme/core-tensor'
import { read, span, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { concat, div, eye, mul, norm, type Tensor, zeros } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { MemorySlots, type MemorySlotsOptions } from './memory-slots.js'

const [D, M] = [6, 4]
const base: MemorySlotsOptions = {
  dModel: D,
  nHeads: 2,
  slots: M,
  writer: 'gru',
  updates: 2,
  temperature: 1,
  dInner: 8,
}
const draw = (seed: number, T: number): Tensor => normal(new Rng(seed), [2, T, D], 1)

describe('MemorySlots', () => {
  test('no slot changes the update of another', async () => {
    await within(async () => {
      for (const writer of ['gru', 'normalised'] as const) {
        const slots = new MemorySlots({ ...base, writer }, new Rng(1))
        const [state, other, h] = [draw(2, M), draw(3, M), draw(4, 5)]
        const before = slots.write(state, { h })
        const changed = slots.write(concat([span(state, 0, 2), span(other, 2, 1), span(state, 3, 1)], 1), { h })
        for (const i of [0, 1, 3]) {
          expectClose(await read(span(changed, i, 1)), await read(span(before, i, 1)), 1e-6, `${writer}, slot ${i}`)
        }
        expect(await read(span(changed, 2, 1))).not.toEqual(await read(span(before, 2, 1)))
      }
    })
  })

  test('normalised slots have length 1, at the start and after every write', async () => {
    await within(async () => {
      const slots = new MemorySlots({ ...base, writer: 'normalised', temperature: 0.25 }, new Rng(1))
      let state = slots.initialState(2)
      for (const seed of [2, 3, 4]) {
        expectClose(await read(norm(state, 'euclidean', 2)), Array(2 * M).fill(1), 1e-6, 'lengths')
        state = slots.write(state, { h: draw(seed, 3) })
      }
    })
  })

  test('normalised slots that nothing is written to are those of the start', async () => {
    await within(async () => {
      const slots = new MemorySlots({ ...base, writer: 'normalised' }, new Rng(1))
      slots.writer.oProj.weight.assign(zeros([D, D]))
      slots.writer.oProj.bias?.assign(zeros([D]))
      const start = div(slots.initial, norm(slots.initial, 'euclidean', 1, true))
      const state = slots.write(draw(2, M), { h: draw(3, 5) })
      expectClose(await read(span(state, 0, M)), await read(concat([start, start], 0)), 1e-6, 'slots')
    })
  })

  test('normalised slots that only see themselves turn towards their bias', async () => {
    await within(async () => {
      const slots = new MemorySlots({ ...base, writer: 'normalised' }, new Rng(1))
      const { qProj, kvProj, oProj } = slots.writer
      for (const { bias } of [qProj, kvProj, oProj]) bias?.assign(zeros(bias.shape))
      // a slot's own score is far above that of tokens, which is 0, and its value is the slot itself
      qProj.weight.assign(mul(eye(D), 100))
      kvProj.weight.assign(concat([mul(eye(D), 100), eye(D)], 0))
      oProj.weight.assign(eye(D))
      let state = slots.write(draw(2, M), { h: zeros([2, 3, D]) })
      const start = div(slots.initial, norm(slots.initial, 'euclidean', 1, true))
      const target = await read(concat([start, start], 0))
      const distance = async () => Math.hypot(...(await read(state)).map((value, n) => value - (target[n] as number)))
      const first = await distance()
      expect(first).toBeGreaterThan(0.1)
      state = slots.write(state, { h: zeros([2, 3, D]) })
      expect(await distance()).toBeLessThan(first)
      for (let i = 0; i < 60; i++) state = slots.write(state, { h: zeros([2, 3, D]) })
      expect(await distance()).toBeLessThan(1e-4)
    })
  })

  test('an update gate that is shut keeps a slot, but for the feed-forward', async () => {
    await within(async () => {
      const slots = new MemorySlots({ ...base, updates: 1 }, new Rng(1))
      const bias = Float32Array.from({ length: 3 * D }, (_, n) => (n >= D && n < 2 * D ? 100 : 0))
      slots.loadStateDict({
        ...(await slots.stateDict()),
        'gru.biasIh': { shape: [3 * D], values: bias },
        'mlp.downProj.weight': { shape: [D, 8], values: new Float32Array(D * 8) },
        'mlp.downProj.bias': { shape: [D], values: new Float32Array(D) },
      })
      const state = draw(2, M)
      expectClose(await read(slots.write(state, { h: draw(3, 5) })), await read(state), 1e-6, 'slots')
    })
  })

  test('no slots, or no round of a write, are refused', () => {
    expect(() => new MemorySlots({ ...base, slots: 0 }, new Rng(0))).toThrow(/slots >= 1/)
    expect(() => new MemorySlots({ ...base, updates: 0 }, new Rng(0))).toThrow(/updates >= 1/)
  })
})
