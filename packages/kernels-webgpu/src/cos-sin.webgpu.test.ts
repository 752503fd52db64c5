import { cosSin } from '@mneme/core-tensor'
import { dispose, tensor1d } from '@tensorflow/tfjs-core'
import { expect, test } from 'vitest'

async function turned(angles: Float32Array): Promise<readonly [cosines: Float32Array, sines: Float32Array]> {
  const angle = tensor1d(angles)
  const found = cosSin({ angle })
  const values = [await found.cos.data<'float32'>(), await found.sin.data<'float32'>()] as const
  dispose([angle, found.cos, found.sin])
  return values
}

test('cosines and sines have the digits of float32, of large angles too', async () => {
  // of both signs and every quarter, from 1e-4 to 1e5
  const angles = Float32Array.from({ length: 20_000 }, (_, i) => (i % 2 === 0 ? 1 : -1) * 10 ** (9 * (i / 20_000) - 4))
  const [cosines, sines] = await turned(angles)
  for (const [found, exact] of [
    [cosines, Math.cos],
    [sines, Math.sin],
  ] as const) {
    const furthest = Math.max(...Array.from(found, (value, i) => Math.abs(value - exact(angles[i] as number))))
    expect(furthest).toBeLessThan(2e-7)
  }
})

test('what is no angle stays so', async () => {
  for (const found of await turned(Float32Array.of(Number.NaN, Number.POSITIVE_INFINITY))) {
    expect([...found]).toEqual([Number.NaN, Number.NaN])
  }
})
