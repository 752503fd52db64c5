import { oneHot, tensor1d, tensor2d, tidy, unsortedSegmentSum } from '@tensorflow/tfjs-core'
import { describe, expect, it } from 'vitest'

describe('unsortedSegmentSum', () => {
  it('adds up rows of equal ids, in float32 and int32', () => {
    tidy(() => {
      const ids = tensor1d([2, 0, 2, 2], 'int32')
      const values = Array.from({ length: 4 * 6 }, (_, i) => i)
      const expected = [6, 7, 8, 9, 10, 11, 0, 0, 0, 0, 0, 0, 30, 33, 36, 39, 42, 45]
      for (const dtype of ['float32', 'int32'] as const) {
        const sums = unsortedSegmentSum(tensor2d(values, [4, 6], dtype), ids, 3)
        expect([sums.shape, sums.dtype, Array.from(sums.dataSync())]).toEqual([[3, 6], dtype, expected])
      }
    })
  })

  it('drops ids outside the range', () => {
    tidy(() => {
      const sums = unsortedSegmentSum(tensor1d([1, 2, 4, 8]), tensor1d([-1, 0, 2, 1], 'int32'), 2)
      expect(Array.from(sums.dataSync())).toEqual([2, 8])
    })
  })
})

describe('oneHot', () => {
  it('gives ones in the type asked for', () => {
    tidy(() => {
      const ids = tensor1d([1, 0, -1], 'int32')
      expect(Array.from(oneHot(ids, 2, 1, 0, 'float32').dataSync())).toEqual([0, 1, 1, 0, 0, 0])
      expect(Array.from(oneHot(ids, 2, 3, 0.5, 'float32').dataSync())).toEqual([0.5, 3, 3, 0.5, 0.5, 0.5])
      expect(Array.from(oneHot(ids, 2).dataSync())).toEqual([0, 1, 1, 0, 0, 0])
    })
  })
})
