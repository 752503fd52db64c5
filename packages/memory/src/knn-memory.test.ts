import { normal, Rng, softmaxAttention, unitLength } from '@mneme/core-tensor'
import { read, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { gather, reshape, type Tensor, tensor1d, tensor3d, tile } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { KnnAttention } from './knn-attention.js'
import { KnnMemory } from './knn-memory.js'

describe('KnnMemory', () => {
  test('finds the nearest of its own row, the best first', async () => {
    await within(async () => {
      const memory = new KnnMemory({ capacity: 10, neighbours: 2 })
      const keys = tensor3d([1, 0, 0, 1, 1, 1, -1, 0, 0, -1, -1, -1], [2, 3, 2])
      const values = tensor3d([1, 2, 3, 4, 5, 6], [2, 3, 1])
      const state = memory.write(memory.initialState(), { keys, values })
      const { y } = memory.read(state, tensor3d([2, 1, 2, 1], [2, 1, 2]))
      expect(await read(y)).toEqual(Float32Array.of(3, 1, 5, 4))
    })
  })

  test('the order in which keys came does not matter to what is found', async () => {
    await within(async () => {
      const memory = new KnnMemory({ capacity: 10, neighbours: 3 })
      const [keys, values] = [normal(new Rng(5), [2, 7, 4], 1), normal(new Rng(6), [2, 7, 2], 1)]
      const query = normal(new Rng(7), [2, 3, 4], 1)
      const order = tensor1d([4, 0, 6, 2, 5, 1, 3], 'int32')
      const turned = { keys: gather(keys, order, 1), values: gather(values, order, 1) }
      const found = async (entry: { readonly keys: Tensor; readonly values: Tensor }) =>
        read(memory.read(memory.write(memory.initialState(), entry), query).y)
      expect(await found(turned)).toEqual(await found({ keys, values }))
    })
  })

  test('beyond its capacity the oldest go, and order is kept', async () => {
    await within(async () => {
      const memory = new KnnMemory({ capacity: 3, neighbours: 9 })
      let state = memory.initialState()
      for (const at of [0, 2, 4]) {
        const entry = tensor3d([at, at + 1], [1, 2, 1])
        state = memory.write(state, { keys: entry, values: entry })
      }
      expect(await read(state.keys as Tensor)).toEqual(Float32Array.of(3, 4, 5))
      expect((await memory.read(state, tensor3d([1], [1, 1, 1]))).y.shape).toEqual([1, 1, 3, 1])
    })
  })

  test('what it cannot do is refused', () => {
    expect(() => new KnnMemory({ capacity: 0, neighbours: 1 })).toThrow(/capacity: expected a whole number, at least 1/)
    const memory = new KnnMemory({ capacity: 1, neighbours: 1 })
    expect(() => memory.read(memory.initialState(), tensor3d([1], [1, 1, 1]))).toThrow(/got an empty memory/)
  })
})

describe('KnnAttention', () => {
  const options = {
    dModel: 6,
    nHeads: 2,
    dHead: 3,
    segment: 4,
    window: 0,
    capacity: 99,
    neighbours: 99,
    temperature: 3,
  }
  const T = 19

  test('with room for all and every key a neighbour it is softmax attention, whatever the window', async () => {
    await within(async () => {
      for (const window of [0, 3, 50]) {
        const mixer = new KnnAttention({ ...options, window }, new Rng(1))
        const x = normal(new Rng(2), [2, T, 6], 1)
        const q = unitLength(reshape(mixer.qProj.forward(x), [2, T, 2, 3]))
        const k = tile(reshape(unitLength(mixer.kProj.forward(x)), [2, T, 1, 3]), [1, 1, 2, 1])
        const v = tile(reshape(mixer.vProj.forward(x), [2, T, 1, 3]), [1, 1, 2, 1])
        const { o } = softmaxAttention({ q, k, v }, { scale: 3 })
        const expected = mixer.oProj.forward(reshape(o, [2, T, 6]))
        expectClose(await read(mixer.forward(x).y), await read(expected), 1e-5, `outputs, window ${window}`)
        mixer.dispose()
      }
    })
  })

  test('one neighbour in place of all is another result', async () => {
    await within(async () => {
      const x = normal(new Rng(4), [1, T, 6], 1)
      const [few, all] = [1, 99].map((neighbours) => new KnnAttention({ ...options, neighbours }, new Rng(3)))
      const [a, b] = [await read((few as KnnAttention).forward(x).y), await read((all as KnnAttention).forward(x).y)]
      expectClose(a.slice(0, 24), b.slice(0, 24), 1e-6, 'first segment')
      expect(Math.max(...a.map((value, i) => Math.abs(value - (b[i] as number))))).toBeGreaterThan(1e-3)
      for (const mixer of [few, all]) mixer?.dispose()
    })
  })
})
