import { describe, expect, test } from 'vitest'
import { hippoNormal } from './hippo.js'
import { legendre } from './lmu.js'

const at = (rows: readonly Float64Array[], n: number, j: number): number => rows[n]?.[j] as number

/** The matrix of HiPPO-LegS, from what `hippoNormal` gives: its normal part, less P Pᵀ with P_n = sqrt(n + 1/2). */
function legS(N: number): number[][] {
  const { frequencies, re, im } = hippoNormal(N)
  return Array.from({ length: N }, (_, n) =>
    Array.from({ length: N }, (_, k) => {
      let value = -Math.sqrt((n + 0.5) * (k + 0.5))
      for (let j = 0; j < N / 2; j++) {
        // v vᴴ and its conjugate: twice the real part
        const same = at(re, n, j) * at(re, k, j) + at(im, n, j) * at(im, k, j)
        const turned = at(im, n, j) * at(re, k, j) - at(re, n, j) * at(im, k, j)
        value += 2 * (-0.5 * same - (frequencies[j] as number) * turned)
      }
      return value
    }),
  )
}

describe('HiPPO', () => {
  test.each([2, 8, 64])('%i states: V diag(−1/2 ± iω) Vᴴ − P Pᵀ is its matrix, and V is unitary', (N) => {
    const { frequencies, re, im } = hippoNormal(N)
    const A = legS(N)
    let [worst, skew] = [0, 0]
    for (let n = 0; n < N; n++) {
      for (let k = 0; k < N; k++) {
        const expected = n > k ? -Math.sqrt((2 * n + 1) * (2 * k + 1)) : n === k ? -(n + 1) : 0
        worst = Math.max(worst, Math.abs((A[n]?.[k] as number) - expected))
        let identity = 0
        for (let j = 0; j < N / 2; j++) identity += 2 * (at(re, n, j) * at(re, k, j) + at(im, n, j) * at(im, k, j))
        skew = Math.max(skew, Math.abs(identity - (n === k ? 1 : 0)))
      }
    }
    expect(worst / (frequencies.at(-1) as number)).toBeLessThan(1e-9)
    expect(skew).toBeLessThan(1e-9)
    expect(Array.from(frequencies)).toEqual(Array.from(frequencies).sort((a, b) => a - b))
  })

  test('with its rank-one part it keeps the whole past: a state of N gives back a polynomial of degree N − 1', () => {
    const N = 6
    const A = legS(N)
    const B = Float64Array.from({ length: N }, (_, n) => Math.sqrt(2 * n + 1))
    const u = (t: number): number => 1 - 2 * t + 0.9 * t ** 2 + 0.2 * t ** 3 - 0.4 * t ** 4 + 0.1 * t ** 5
    // c' = (A c + B u) / t, stepped over the logarithm of time
    const slope = (s: number, c: Float64Array): Float64Array =>
      c.map((_, n) => (B[n] as number) * u(Math.exp(s)) + c.reduce((sum, v, k) => sum + v * (A[n]?.[k] as number), 0))
    const moved = (c: Float64Array, by: Float64Array, h: number): Float64Array =>
      c.map((v, n) => v + h * (by[n] as number))
    const [from, until, steps] = [Math.log(1e-4), Math.log(3), 2000]
    const h = (until - from) / steps
    let c: Float64Array = B.map((_, n) => (n === 0 ? 1 : 0))
    for (let i = 0; i < steps; i++) {
      const s = from + i * h
      const k1 = slope(s, c)
      const k2 = slope(s + h / 2, moved(c, k1, h / 2))
      const k3 = slope(s + h / 2, moved(c, k2, h / 2))
      const k4 = slope(s + h, moved(c, k3, h))
      c = c.map(
        (v, n) =>
          v + (h / 6) * ([k1, k2, k2, k3, k3, k4] as Float64Array[]).reduce((sum, k) => sum + (k[n] as number), 0),
      )
    }
    const t = 3
    for (const share of [0, 0.1, 0.35, 0.5, 0.8, 1]) {
      const P = legendre(N, 2 * share - 1)
      const value = c.reduce((sum, v, n) => sum + v * (B[n] as number) * (P[n] as number), 0)
      expect(Math.abs(value - u(share * t)), `at ${share} of the past`).toBeLessThan(1e-4)
    }
  })

  test('an odd number of states is refused', () => {
    expect(() => hippoNormal(3)).toThrow(/even number, got 3/)
  })
})
