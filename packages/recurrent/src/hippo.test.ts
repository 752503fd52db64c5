import { describe, expect, test } from 'vitest'
import { hippoNormal } from './hippo.js'
import { legendre } from './lmu.js'

const at = (rows: readonly Float64Array[], n: number, j: number): number => rows[n]?.[j] as number

type Complex = readonly [re: number, im: number]
const times = ([a, b]: Complex, [c, d]: Complex): Complex => [a * c - b * d, a * d + b * c]
const over = ([a, b]: Complex, [c, d]: Complex): Complex => {
  const size = c * c + d * d
  return [(a * c + b * d) / size, (b * c - a * d) / size]
}

const rowTimes = (row: readonly number[], matrix: readonly number[][]): number[] =>
  (matrix[0] as number[]).map((_, k) => row.reduce((sum, v, n) => sum + v * (matrix[n]?.[k] as number), 0))

/** X of A X = B, by Gauss and Jordan. */
function solved(A: readonly number[][], B: readonly number[][]): number[][] {
  const N = A.length
  const rows = A.map((row, n) => [...row, ...(B[n] as number[])])
  for (let n = 0; n < N; n++) {
    const pivot = rows[n] as number[]
    const scale = pivot[n] as number
    rows[n] = pivot.map((v) => v / scale)
    for (let m = 0; m < N; m++) {
      const factor = rows[m]?.[n] as number
      if (m !== n) rows[m] = (rows[m] as number[]).map((v, k) => v - factor * (rows[n]?.[k] as number))
    }
  }
  return rows.map((row) => row.slice(N))
}

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

  test('diagonal plus rank one: the kernel of S4 by its generating function is that of dense powers', () => {
    const [N, L, dt] = [4, 16, 0.3]
    const { frequencies, re, im } = hippoNormal(N)
    const A = legS(N)
    const B = Array.from({ length: N }, (_, n) => Math.sqrt(2 * n + 1))
    const P = Array.from({ length: N }, (_, n) => Math.sqrt(n + 0.5))
    const C = [0.7, -1.1, 0.4, 0.9]
    // bilinear steps, whose powers are the kernel
    const half = (sign: number): number[][] =>
      A.map((row, n) => row.map((a, k) => (n === k ? 1 : 0) + (sign * dt * a) / 2))
    const step = solved(half(-1), half(1))
    const input = solved(
      half(-1),
      B.map((b) => [dt * b]),
    ).map(([b]) => b as number)
    const read = [C]
    for (let l = 0; l < L; l++) read.push(rowTimes(read[l] as number[], step))
    const kernel = read.slice(0, L).map((row) => row.reduce((sum, c, n) => sum + c * (input[n] as number), 0))
    // C (I − Ā^L), since the function has the first L powers only
    const cut = C.map((c, n) => c - (read[L]?.[n] as number))

    // one eigenvector of each pair; the other is its conjugate
    const parts = [1, -1].flatMap((sign) =>
      Array.from(frequencies, (frequency, j) => {
        const along = (x: readonly number[], turn: number): Complex => [
          x.reduce((sum, v, n) => sum + v * at(re, n, j), 0),
          turn * sign * x.reduce((sum, v, n) => sum + v * at(im, n, j), 0),
        ]
        return { lambda: [-0.5, sign * frequency] as Complex, b: along(B, -1), p: along(P, -1), c: along(cut, 1) }
      }),
    )
    const found = Array.from({ length: L }, () => 0)
    for (let k = 0; k < L; k++) {
      const angle = (-2 * Math.PI * k) / L
      const z: Complex = [Math.cos(angle), Math.sin(angle)]
      // both sides of the resolvent times 1 + z, which is 0 at z = −1
      const g: Complex = [1 + z[0], z[1]]
      const resolvent = parts.map(({ lambda }) => {
        const [x, y] = times(g, lambda)
        return over([1, 0], [(2 / dt) * (1 - z[0]) - x, (-2 / dt) * z[1] - y])
      })
      const through = (
        left: (part: (typeof parts)[0]) => Complex,
        right: (part: (typeof parts)[0]) => Complex,
      ): Complex =>
        parts.reduce<Complex>(
          (sum, part, j) => {
            const [x, y] = times(times(left(part), resolvent[j] as Complex), right(part))
            return [sum[0] + x, sum[1] + y]
          },
          [0, 0],
        )
      const conjugate = ([x, y]: Complex): Complex => [x, -y]
      const pp = times(
        g,
        through(
          ({ p }) => conjugate(p),
          ({ p }) => p,
        ),
      )
      const rest = over(
        times(
          times(
            g,
            through(
              ({ c }) => c,
              ({ p }) => p,
            ),
          ),
          through(
            ({ p }) => conjugate(p),
            ({ b }) => b,
          ),
        ),
        [1 + pp[0], pp[1]],
      )
      const whole = through(
        ({ c }) => c,
        ({ b }) => b,
      )
      const value: Complex = [2 * (whole[0] - rest[0]), 2 * (whole[1] - rest[1])]
      for (let l = 0; l < L; l++)
        found[l] = (found[l] as number) + times(value, [Math.cos(angle * l), -Math.sin(angle * l)])[0] / L
    }
    for (let l = 0; l < L; l++) expect(found[l], `K_${l}`).toBeCloseTo(kernel[l] as number, 10)
  })

  test('an odd number of states is refused', () => {
    expect(() => hippoNormal(3)).toThrow(/even number, got 3/)
  })
})
