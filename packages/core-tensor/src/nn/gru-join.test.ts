import { read, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { describe, expect, test } from 'vitest'
import { normal } from '../init.js'
import { Rng } from '../rng.js'
import { GruJoin } from './gru-join.js'

const D = 4

describe('GruJoin', () => {
  test.each([true, false])('is its equations, value by value (rectified: %s)', async (rectified) => {
    await within(async () => {
      const join = new GruJoin(D, new Rng(1), { bias: 0.5, rectified })
      const [y, x] = [normal(new Rng(2), [1, 1, D], 1), normal(new Rng(3), [1, 1, D], 1)]
      const [W, U, reset] = (await Promise.all(
        [join.branchProj, join.streamProj, join.resetProj].map(({ weight }) => read(weight)),
      )) as [Float32Array, Float32Array, Float32Array]
      const raw = await read(y)
      const [branch, stream] = [[...raw].map((v) => (rectified ? Math.max(v, 0) : v)), [...(await read(x))]]
      const row = (weight: Float32Array, n: number, by: readonly number[]): number =>
        by.reduce((sum, v, c) => sum + v * (weight[n * D + c] as number), 0)
      const sigmoid = (v: number): number => 1 / (1 + Math.exp(-v))
      const gate = (n: number, bias: number): number[] =>
        stream.map((_, i) => sigmoid(row(W, n * D + i, branch) + row(U, n * D + i, stream) - bias))
      const [r, z] = [gate(0, 0), gate(1, 0.5)]
      const kept = stream.map((v, i) => v * (r[i] as number))
      const expected = stream.map((v, i) => {
        const h = Math.tanh(row(W, 2 * D + i, branch) + row(reset, i, kept))
        return (1 - (z[i] as number)) * v + (z[i] as number) * h
      })
      expectClose(await read(join.forward(y, x)), expected, 1e-5, 'joined')
      join.dispose()
    })
  })

  test('with a great bias the stream goes by unchanged', async () => {
    await within(async () => {
      const join = new GruJoin(D, new Rng(4), { bias: 40, rectified: true })
      const [y, x] = [normal(new Rng(5), [2, 3, D], 1), normal(new Rng(6), [2, 3, D], 1)]
      expectClose(await read(join.forward(y, x)), await read(x), 1e-6, 'stream')
      expect(join.parameterCount()).toBe(6 * D * D + D)
      join.dispose()
    })
  })
})
