import { normal, normalInit, Rng } from '@mneme/core-tensor'
import { read, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { eye, fill, mul, slice, sub, type Tensor, tensor, tensor3d, zeros } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { AssociativeMemory, type AssociativeState, dpfp } from './associative-memory.js'

const D = 4

/** Keys, queries and values are what is written or asked, β is 1: the bare rule. */
function bare(correction = true): AssociativeMemory {
  const store = new AssociativeMemory({ dModel: D, dKey: D, rolls: 3, correction }, new Rng(1))
  for (const projection of [store.qProj, store.kProj, store.vProj]) projection.weight.assign(eye(D))
  store.bProj.weight.assign(zeros([1, D]))
  store.bProj.bias?.assign(fill([1], 40))
  return store
}

/** Stores v under k, each `[1, 1, D]`: the value map is set so that it makes v of k. */
async function store(memory: AssociativeMemory, state: AssociativeState, k: Tensor, v: Tensor) {
  const [key, value] = [await read(k), await read(v)]
  const square = key.reduce((total, x) => total + x * x, 0)
  const map = Float32Array.from(
    { length: D * D },
    (_, n) => ((value[Math.floor(n / D)] as number) * (key[n % D] as number)) / square,
  )
  memory.vProj.weight.assign(tensor(map, [D, D]))
  return memory.write(state, { h: k })
}

const draw = (seed: number, B = 1, T = 1): Tensor => normal(new Rng(seed), [B, T, D], 1)

describe('features', () => {
  test('products of rectified features and those j places before them', async () => {
    await within(async () => {
      const phi = await read(dpfp(tensor3d([2, -3, 5], [1, 1, 3]), 2))
      // u = [2, 0, 5, 0, 3, 0]
      expect([...phi]).toEqual([0, 0, 0, 0, 0, 0, 6, 0, 10, 0, 15, 0])
    })
  })

  test('never negative, 2 ν wide for each of x, and 0 at 0', async () => {
    await within(async () => {
      const phi = dpfp(draw(2, 3, 7), 3)
      expect(phi.shape).toEqual([3, 7, 6 * D])
      expect(Math.min(...(await read(phi)))).toBe(0)
      expect(Math.max(...(await read(dpfp(zeros([1, 2, D]), 3))))).toBe(0)
    })
  })
})

describe('AssociativeMemory', () => {
  test('nothing is recalled before the first write, and nothing for a query of 0', async () => {
    await within(async () => {
      const memory = bare()
      const none = memory.read(memory.initialState(2), draw(3, 2, 5)).y
      expect((await read(none)).every((value) => value === 0)).toBe(true)
      const state = memory.write(memory.initialState(1), { h: draw(4, 1, 3) })
      expect((await read(memory.read(state, zeros([1, 2, D])).y)).every((value) => value === 0)).toBe(true)
    })
  })

  test('values start as 0: whatever is written, nothing is recalled', async () => {
    await within(async () => {
      const memory = new AssociativeMemory({ dModel: D, dKey: 3, rolls: 3, correction: true }, new Rng(5))
      let state = memory.initialState(2)
      for (const seed of [6, 7, 8]) state = memory.write(state, { h: draw(seed, 2, 3) })
      expect((await read(memory.read(state, draw(9, 2, 4)).y)).every((value) => value === 0)).toBe(true)
    })
  })

  test('what is stored under a key is read back; stored again, it is replaced and the normaliser does not grow', async () => {
    await within(async () => {
      const memory = bare()
      const [k, first, second] = [draw(10), draw(11), draw(12)]
      const once = await store(memory, memory.initialState(1), k, first)
      expectClose(await read(memory.read(once, k).y), await read(first), 1e-4, 'first value')
      const twice = await store(memory, once, k, second)
      expectClose(await read(memory.read(twice, k).y), await read(second), 1e-4, 'second value')
      expectClose(await read(twice.normaliser), await read(once.normaliser), 1e-4, 'normaliser')
    })
  })

  test('without the correction a key stored twice counts twice, and the new value comes back wrong', async () => {
    await within(async () => {
      const memory = bare(false)
      const [k, first, second] = [draw(10), draw(11), draw(12)]
      const once = await store(memory, memory.initialState(1), k, first)
      const twice = await store(memory, once, k, second)
      expectClose(await read(twice.normaliser), await read(mul(once.normaliser, 2)), 1e-4, 'normaliser')
      const half = await read(mul(second, 0.5))
      expectClose(await read(memory.read(twice, k).y), half, 1e-4, 'the value over twice the weight')
    })
  })

  test('a key orthogonal to all that is stored: counted in full, the others untouched', async () => {
    await within(async () => {
      const memory = bare()
      // features that share no place
      const [k, other] = [tensor3d([1, 2, 0, 0], [1, 1, D]), tensor3d([0, 0, -1, -2], [1, 1, D])]
      const [v, w] = [draw(13), draw(14)]
      const once = await store(memory, memory.initialState(1), k, v)
      const both = await store(memory, once, other, w)
      expectClose(await read(memory.read(both, k).y), await read(v), 1e-4, 'the old one')
      expectClose(await read(memory.read(both, other).y), await read(w), 1e-4, 'the new one')
      expectClose(await read(sub(both.normaliser, once.normaliser)), await read(dpfp(other, 3)), 1e-4, 'normaliser')
    })
  })

  test('entries of one write do not see each other', async () => {
    await within(async () => {
      const memory = bare()
      const start = memory.write(memory.initialState(1), { h: draw(15, 1, 2) })
      const h = draw(16, 1, 3)
      const together = memory.write(start, { h })
      const expected = await read(start.memory)
      const before = await read(start.memory)
      for (const i of [0, 1, 2]) {
        const alone = await read(memory.write(start, { h: slice(h, [0, i, 0], [1, 1, D]) }).memory)
        for (const [n, value] of alone.entries()) expected[n] = (expected[n] as number) + value - (before[n] as number)
      }
      expectClose(await read(together.memory), expected, 1e-5, 'memory')
    })
  })

  test('values: 2 D K + D² + D + 1', async () => {
    await within(async () => {
      const options = { dModel: D, dKey: 3, rolls: 3, correction: true, valueInit: normalInit(1) }
      expect(new AssociativeMemory(options, new Rng(0)).parameterCount()).toBe(2 * D * 3 + D * D + D + 1)
    })
  })

  test('rolls beyond the width are refused', () => {
    const make = () => new AssociativeMemory({ dModel: D, dKey: 1, rolls: 2, correction: true }, new Rng(0))
    expect(make).toThrow(/rolls: expected a whole number from 1 to 1, .* got 2/)
  })
})
