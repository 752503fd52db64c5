import { read, within } from '@mneme/testing/subject'
import { memory, mul, scalar, square, sum, type Tensor, tensor, tensor1d, tensor2d, zeros } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { valueAndGrads } from './gradients.js'
import {
  advance,
  copyState,
  detach,
  diffState,
  disposeState,
  leaves,
  loadState,
  mapState,
  type State,
  saveState,
  sliceBatch,
  stateBytes,
  stateTensors,
  stopGradient,
} from './state.js'

const nested = (): { readonly [name: string]: State } => ({
  layers: [{ h: tensor2d([[1, 2]]), count: 3 }, null],
  ids: tensor1d([4, 5], 'int32'),
})

describe('trees of state', () => {
  test('leaves have paths, and numbers and nulls are leaves too', async () => {
    await within(async () => {
      const found = [...leaves(nested())].map(([path, leaf]) => [
        path,
        typeof leaf === 'number' ? leaf : leaf?.constructor,
      ])
      expect(found.map(([path]) => path)).toEqual(['layers.0.h', 'layers.0.count', 'layers.1', 'ids'])
      expect(found[1]?.[1]).toBe(3)
      expect([...leaves(7)]).toEqual([['', 7]])
    })
  })

  test('mapState meets tensors with their paths and leaves the rest alone', async () => {
    await within(async () => {
      const state = nested()
      const paths: string[] = []
      const doubled = mapState(state, (t, path) => {
        paths.push(path)
        return mul(t, 2)
      }) as { layers: [{ h: Tensor; count: number }, null]; ids: Tensor }
      expect(paths).toEqual(['layers.0.h', 'ids'])
      expect([...(await read(doubled.layers[0].h))]).toEqual([2, 4])
      expect(doubled.layers[0].count).toBe(3)
      expect(doubled.layers[1]).toBeNull()
    })
  })

  test('a tensor that stands in two places is one tensor', async () => {
    await within(async () => {
      const shared = zeros([2, 3])
      expect(stateTensors({ a: shared, b: [shared, 1] })).toEqual([shared])
      expect(stateBytes({ a: shared, b: [shared, tensor1d([1, 2], 'int32')] })).toBe(4 * (6 + 2))
      expect(stateBytes(null)).toBe(0)
    })
  })

  test('sliceBatch takes rows of every tensor', async () => {
    await within(async () => {
      const state = { h: tensor2d([[1], [2], [3]]), n: 5, deep: [tensor([1, 2, 3, 4, 5, 6], [3, 1, 2])] }
      const part = sliceBatch(state, 1, 2)
      expect([...(await read(part.h))]).toEqual([2, 3])
      expect(part.deep.map(({ shape }) => shape)).toEqual([[2, 1, 2]])
      expect(part.n).toBe(5)
    })
  })

  test('a copy outlives the original', async () => {
    await within(async () => {
      const state = nested()
      const copy = copyState(state)
      disposeState(state)
      expect(stateTensors(state).every((t) => t.isDisposed)).toBe(true)
      expect(await Promise.all(stateTensors(copy).map(async (t) => [...(await read(t))]))).toEqual([
        [1, 2],
        [4, 5],
      ])
    })
  })
})

describe('detach', () => {
  test('the same values, and no gradient flows through', async () => {
    await within(async () => {
      const x = tensor1d([2, 3])
      const { value, grads } = valueAndGrads(() => sum(mul(x, detach({ h: square(x) }).h)), [x])
      expect([...(await read(value))]).toEqual([8 + 27])
      // d/dx of x c with c = x² held fixed
      expect([...(await read(grads[0] as Tensor))]).toEqual([4, 9])
    })
  })

  test('no value is copied, and either handle may be freed first', async () => {
    await within(async () => {
      const buffers = memory().numDataBuffers
      const x = zeros([1000])
      const y = stopGradient(x)
      expect(memory().numDataBuffers - buffers).toBe(1)
      expect(y.dataId).toBe(x.dataId)
      x.dispose()
      expect((await read(y)).length).toBe(1000)
      y.dispose()
      expect(memory().numDataBuffers).toBe(buffers)
      expect(() => stopGradient(x)).toThrow(/expected a live tensor/)
    })
  })
})

describe('advance', () => {
  test('frees what the next state no longer holds and what was made on the way, and nothing else', () => {
    const before = memory().numTensors
    const [kept, dropped] = [scalar(1), scalar(2)]
    const previous = { kept, dropped }
    const next = advance(previous, () => ({ state: { kept, sum: square(mul(dropped, 3)) }, y: square(kept) }))
    expect(dropped.isDisposed).toBe(true)
    expect(kept.isDisposed).toBe(false)
    expect(memory().numTensors - before).toBe(3)
    disposeState(next)
    expect(memory().numTensors).toBe(before)
  })

  test('a step that throws frees nothing of the state before', () => {
    const h = scalar(1)
    const fail = (): { state: State } => {
      throw new Error('no')
    }
    expect(() => advance({ h }, fail)).toThrow('no')
    expect(h.isDisposed).toBe(false)
    h.dispose()
  })
})

describe('saving', () => {
  test('what is loaded is what was saved, to the bit, with structure and types', async () => {
    await within(async () => {
      const odd = [Number.NaN, Number.POSITIVE_INFINITY, -0, 1e-42, 3.4e38]
      const state: State = {
        a: tensor1d(odd),
        b: [tensor([1, -2], [2, 1], 'int32'), null, { n: 1.5 }],
        c: zeros([0, 3]),
      }
      const saved = structuredClone(await saveState(state))
      const loaded = loadState(saved) as typeof state
      expect(await saveState(loaded)).toEqual(saved)
      expect(stateTensors(loaded).map(({ shape, dtype }) => [shape, dtype])).toEqual([
        [[5], 'float32'],
        [[2, 1], 'int32'],
        [[0, 3], 'float32'],
      ])
      const values = await read(stateTensors(loaded)[0] as Tensor)
      expect(new Uint8Array(values.buffer)).toEqual(new Uint8Array(Float32Array.from(odd).buffer))
      expect([...leaves(loaded)].map(([path]) => path)).toEqual([...leaves(state)].map(([path]) => path))
    })
  })

  test('saved values do not change with the state they came from', async () => {
    await within(async () => {
      const state = { h: tensor1d([1, 2]) }
      const saved = await saveState(state)
      disposeState(state)
      expect([...(saved.tensors.h?.values ?? [])]).toEqual([1, 2])
    })
  })

  test('a bare tensor, a number and null are states too', async () => {
    await within(async () => {
      expect([...(await read(loadState(await saveState(tensor1d([6, 7]))) as Tensor))]).toEqual([6, 7])
      expect(loadState(await saveState(4))).toBe(4)
      expect(loadState(await saveState(null))).toBeNull()
    })
  })

  test('a tensor that is missing is named', async () => {
    await within(async () => {
      const saved = await saveState(nested())
      expect(() => loadState({ ...saved, tensors: {} })).toThrow("loadState: tensor 'layers.0.h' is missing")
    })
  })
})

describe('diffState', () => {
  test('the largest difference of every leaf, the largest first', async () => {
    await within(async () => {
      const a = { h: tensor1d([1, 2, 3]), n: 4, z: null, same: zeros([2]) }
      const b = { h: tensor1d([1, 2.5, 3]), n: 1, z: null, same: zeros([2]) }
      expect(diffState(a, b)).toEqual([
        { path: 'n', maxAbs: 3 },
        { path: 'h', maxAbs: 0.5 },
        { path: 'z', maxAbs: 0 },
        { path: 'same', maxAbs: 0 },
      ])
    })
  })

  test('another shape, another kind, a missing leaf and a NaN are infinitely far', async () => {
    await within(async () => {
      const a = { shape: zeros([2]), kind: 1, gone: zeros([1]), nan: tensor1d([Number.NaN]) }
      const b = { shape: zeros([3]), kind: null, nan: tensor1d([0]), more: 2 }
      const rows = diffState(a, b)
      expect(rows.map(({ path }) => path).sort()).toEqual(['gone', 'kind', 'more', 'nan', 'shape'])
      for (const { maxAbs } of rows) expect(maxAbs).toBe(Number.POSITIVE_INFINITY)
    })
  })
})
