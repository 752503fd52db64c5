import { read, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { tensor } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { RMSNorm, unitLength } from './norm.js'

describe('unitLength', () => {
  test('x / sqrt(Σ x² + 1e-6)', async () => {
    await within(async () => {
      const y = await read(unitLength(tensor([3, 4, 3e-3, 4e-3, 0, 0], [3, 2])))
      const small = Math.sqrt(25e-6 + 1e-6)
      expectClose(y, [0.6, 0.8, 3e-3 / small, 4e-3 / small, 0, 0], 1e-5, 'unit vectors')
    })
  })
})

describe('RMSNorm', () => {
  test('in groups: each part of the last axis by itself, then the weight', async () => {
    await within(async () => {
      const norm = new RMSNorm(4, 0, 2)
      norm.weight.assign(tensor([1, 2, 3, 4]))
      const y = await read(norm.forward(tensor([3, 4, 0, 5, 1, 1, 2, -2], [2, 4])))
      const rms = Math.sqrt(12.5)
      expectClose(y, [3 / rms, 8 / rms, 0, 20 / rms, 1, 2, 3, -4], 1e-6, 'normalised')
      norm.dispose()
    })
  })

  test('a width that is no multiple of the groups is refused', () => {
    expect(() => new RMSNorm(5, 0, 2)).toThrow(/RMSNorm width: expected a multiple of groups = 2, got 5/)
  })
})
