import { add, clone, memory, ones, tidy } from '@tensorflow/tfjs-core'
import { expect, test } from 'vitest'
import { peakBytes } from './peak-bytes.js'

test('what is alive at a time counts, shared buffers once, freed ones no more', async () => {
  const x = ones([1000])
  const before = memory().numTensors
  const most = await peakBytes(async () => {
    for (let i = 0; i < 3; i++) tidy(() => clone(clone(add(x, 1)))).dispose()
  })
  expect(memory().numTensors).toBe(before)
  expect(most).toBeGreaterThanOrEqual(4000)
  // and little more: what tfjs makes of the number 1
  expect(most).toBeLessThan(4100)
  expect(await peakBytes(async () => x.dispose())).toBe(0)
})
