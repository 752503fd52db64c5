import { cosSin } from '@mneme/core-tensor'
import { read, within } from '@mneme/testing/subject'
import { tensor1d } from '@tensorflow/tfjs-core'
import { expect, test } from 'vitest'

/** Angles of both signs, of every quarter, from 1e-4 to 1e5. */
const angles = Float32Array.from({ length: 20_000 }, (_, i) => (i % 2 === 0 ? 1 : -1) * 10 ** (9 * (i / 20_000) - 4))

test('cosines and sines have the digits of float32, of large angles too', async () => {
  await within(async () => {
    const { cos, sin } = cosSin({ angle: tensor1d(angles) })
    for (const [found, exact] of [
      [await read(cos), Math.cos],
      [await read(sin), Math.sin],
    ] as const) {
      const furthest = Math.max(...Array.from(found, (value, i) => Math.abs(value - exact(angles[i] as number))))
      expect(furthest).toBeLessThan(2e-7)
    }
  })
})

test('what is no angle stays so', async () => {
  await within(async () => {
    const { cos, sin } = cosSin({ angle: tensor1d([Number.NaN, Number.POSITIVE_INFINITY]) })
    for (const found of [cos, sin]) expect([...(await read(found))]).toEqual([Number.NaN, Number.NaN])
  })
})
