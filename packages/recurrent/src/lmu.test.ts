import { normal, type Recorder, Rng } from '@mneme/core-tensor'
import { read, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { ones, type Tensor, tensor, zeros } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { LMU, legendre, legendreDelay } from './lmu.js'

/** A cell whose signal is its one input, and the memories of every token. */
async function memories(M: number, window: number, signal: Tensor): Promise<Float32Array> {
  const cell = new LMU({ dModel: 1, dHidden: 2, dMemory: M, window }, new Rng(0))
  cell.uProj.weight.assign(ones([1, 1]))
  cell.uProj.bias?.assign(zeros([1]))
  const seen = new Map<string, Tensor>()
  const record: Recorder = { record: (name, value) => void seen.set(name, value), at: () => record }
  cell.forward(signal, undefined, { training: false, record })
  const values = await read(seen.get('memory') as Tensor)
  cell.dispose()
  return values
}

describe('Legendre delay', () => {
  test('one polynomial: A = e^{−1/θ}, B = 1 − e^{−1/θ}, a leaky average', () => {
    const { A, B } = legendreDelay(1, 7)
    expectClose(A[0] as Float64Array, [Math.exp(-1 / 7)], 1e-12, 'A')
    expectClose(B, [1 - Math.exp(-1 / 7)], 1e-12, 'B')
  })

  test('two steps are one step over half the window', () => {
    const [once, twice] = [legendreDelay(6, 40).A, legendreDelay(6, 20).A]
    const squared = once.map((row) =>
      once.map((_, j) => row.reduce((sum, a, k) => sum + a * (once[k]?.[j] as number), 0)),
    )
    expectClose(
      squared.flat(),
      twice.flatMap((row) => [...row]),
      1e-10,
      'A²',
    )
  })

  test.each([1, 8, 256])('a constant signal becomes a constant: m = 1, 0, 0, ... for %i polynomials', (M) => {
    const { A, B } = legendreDelay(M, 50)
    const fixed = A.map((row, i) => (row[0] as number) + (B[i] as number))
    expectClose(fixed, [1, ...Array<number>(M - 1).fill(0)], 1e-9, 'A e₀ + B')
  })
})

describe('LMU', () => {
  test('doubling is the recurrence, token by token', async () => {
    await within(async () => {
      const [M, T] = [6, 100]
      const signal = (await read(normal(new Rng(1), [T], 1))).map(Math.abs)
      const actual = await memories(M, 20, tensor(signal, [1, T, 1]))
      const { A, B } = legendreDelay(M, 20)
      let m = new Float64Array(M)
      const expected: number[] = []
      for (let t = 0; t < T; t++) {
        const held = m
        m = Float64Array.from(A, (row, i) => {
          return row.reduce((sum, a, j) => sum + a * (held[j] as number), (B[i] as number) * (signal[t] as number))
        })
        expected.push(...m)
      }
      expectClose(actual, expected, 1e-5, 'memories')
    })
  })

  test('the window is read back: u(t + 1/2 − rθ) = Σ P_i(2r − 1) m_i for a slow signal', async () => {
    await within(async () => {
      const [M, window, T] = [8, 40, 200]
      const u = (t: number): number => 1 + Math.sin((2 * Math.PI * t) / 94)
      const m = await memories(
        M,
        window,
        tensor(
          Float32Array.from({ length: T }, (_, t) => u(t)),
          [1, T, 1],
        ),
      )
      for (const t of [120, 157, 199]) {
        for (const r of [0.1, 0.25, 0.5, 0.75, 0.9, 1]) {
          const P = legendre(M, 2 * r - 1)
          const value = P.reduce((sum, p, i) => sum + p * (m[t * M + i] as number), 0)
          expect(Math.abs(value - u(t + 0.5 - r * window)), `token ${t}, r = ${r}`).toBeLessThan(0.01)
        }
      }
    })
  })

  test('the memory is as large after 1 token as after 500, and A and B are not trained', async () => {
    await within(async () => {
      const cell = new LMU({ dModel: 3, dHidden: 4, dMemory: 5, window: 10 }, new Rng(2))
      for (const T of [1, 500]) expect(cell.forward(normal(new Rng(3), [2, T, 3], 1)).state.shape).toEqual([2, 5])
      expect(cell.parameterCount()).toBe(3 + 1 + 4 * (5 + 3) + 4)
      cell.dispose()
    })
  })
})
