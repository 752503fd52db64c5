import { read, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { tensor } from '@tensorflow/tfjs-core'
import { describe, test } from 'vitest'
import { unitLength } from './norm.js'

describe('unitLength', () => {
  test('x / sqrt(Σ x² + 1e-6)', async () => {
    await within(async () => {
      const y = await read(unitLength(tensor([3, 4, 3e-3, 4e-3, 0, 0], [3, 2])))
      const small = Math.sqrt(25e-6 + 1e-6)
      expectClose(y, [0.6, 0.8, 3e-3 / small, 4e-3 / small, 0, 0], 1e-5, 'unit vectors')
    })
  })
})
