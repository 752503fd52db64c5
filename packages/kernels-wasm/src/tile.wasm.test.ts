import { clone, engine, memory, tensor, tidy, tile } from '@tensorflow/tfjs-core'
import { describe, expect, it } from 'vitest'

describe('tile', () => {
  const values = [1, 2, 3, 4, 5, 6]

  it.each([
    [
      [3, 1],
      [1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6],
    ],
    [
      [1, 2],
      [1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6],
    ],
    [
      [2, 2],
      [1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6, 1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6],
    ],
    [[1, 1], values],
  ])('repeats %j', (reps, expected) => {
    for (const dtype of ['float32', 'int32'] as const) {
      const y = tidy(() => tile(tensor(values, [2, 3], dtype), reps))
      expect(Array.from(y.dataSync())).toEqual(expected)
      expect(y.dtype).toBe(dtype)
      y.dispose()
    }
  })

  it('of nothing is nothing', () => {
    expect(tidy(() => tile(tensor([], [0, 3]), [2, 1])).shape).toEqual([0, 3])
    expect(tidy(() => tile(tensor(values, [2, 3]), [0, 1])).shape).toEqual([0, 3])
  })
})

describe('clone', () => {
  it('shares the values, and each may be freed by itself', () => {
    const before = { ids: engine().backend.numDataIds(), tensors: memory().numTensors }
    const x = tensor([1, 2, 3])
    const y = clone(x)
    expect(engine().backend.numDataIds()).toBe(before.ids + 1)
    x.dispose()
    expect(Array.from(y.dataSync())).toEqual([1, 2, 3])
    y.dispose()
    expect(engine().backend.numDataIds()).toBe(before.ids)
    expect(memory().numTensors).toBe(before.tensors)
  })
})
