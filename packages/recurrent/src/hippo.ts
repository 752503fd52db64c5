/** Eigenvalues `−1/2 + i frequency` and eigenvectors of the normal part of HiPPO-LegS, one of each conjugate pair. */
export interface HippoNormal {
  /** In rising order, all above 0. */
  readonly frequencies: Float64Array
  /** `[N, N/2]`, columns of length 1. */
  readonly re: readonly Float64Array[]
  readonly im: readonly Float64Array[]
}

/**
 * The normal part of HiPPO-LegS is `−I/2 + S` with `S_nk = −½ sqrt((2n + 1)(2k + 1))` below the diagonal and S skew: it
 * turns planes. `SᵀS` is symmetric and has each squared frequency twice; a vector v of that plane and `w = S v / ω` give
 * the eigenvector `(v − i w) / √2` of S for iω. N even.
 * Source: Gu et al. 2021, arXiv:2111.00396, section 3; Smith et al. 2022, arXiv:2208.04933, section 3.3.
 */
export function hippoNormal(N: number): HippoNormal {
  if (N % 2 !== 0) throw new RangeError(`hippoNormal N: expected an even number, got ${N}.`)
  const entry = (n: number, k: number): number => Math.sign(k - n) * 0.5 * Math.sqrt((2 * n + 1) * (2 * k + 1))
  const S = Array.from({ length: N }, (_, n) => Float64Array.from({ length: N }, (_, k) => entry(n, k)))
  const squared = S.map((row) => Float64Array.from({ length: N }, (_, k) => -dot(row, column(S, k))))
  const { values, vectors } = symmetricEigen(squared)
  const order = Array.from(values.keys()).sort((a, b) => (values[a] as number) - (values[b] as number))
  const frequencies = new Float64Array(N / 2)
  const re = S.map(() => new Float64Array(N / 2))
  const im = S.map(() => new Float64Array(N / 2))
  for (let j = 0; j < N / 2; j++) {
    const v = column(vectors, order[2 * j] as number)
    const turned = S.map((row) => dot(row, v))
    const frequency = Math.hypot(...turned)
    frequencies[j] = frequency
    for (let n = 0; n < N; n++) {
      ;(re[n] as Float64Array)[j] = (v[n] as number) * Math.SQRT1_2
      ;(im[n] as Float64Array)[j] = (-(turned[n] as number) / frequency) * Math.SQRT1_2
    }
  }
  return { frequencies, re, im }
}

const column = (rows: readonly Float64Array[], k: number): Float64Array =>
  Float64Array.from(rows, (row) => row[k] as number)

const dot = (a: Float64Array, b: Float64Array): number => a.reduce((sum, value, i) => sum + value * (b[i] as number), 0)

/** Eigenvalues and orthonormal eigenvectors (columns) of a symmetric matrix, by Jacobi's rotations. */
function symmetricEigen(matrix: readonly Float64Array[]): { values: Float64Array; vectors: Float64Array[] } {
  const N = matrix.length
  const a = matrix.map((row) => row.slice())
  const vectors = a.map((_, n) => Float64Array.from({ length: N }, (_, k) => (n === k ? 1 : 0)))
  const size = Math.hypot(...a.map((row) => Math.hypot(...row)))
  for (let sweep = 0; sweep < 60; sweep++) {
    let rest = 0
    for (let p = 0; p < N; p++) {
      for (let q = p + 1; q < N; q++) {
        const [ap, aq] = [a[p] as Float64Array, a[q] as Float64Array]
        const off = ap[q] as number
        rest = Math.max(rest, Math.abs(off))
        if (off === 0) continue
        const theta = ((aq[q] as number) - (ap[p] as number)) / (2 * off)
        const t = (theta < 0 ? -1 : 1) / (Math.abs(theta) + Math.hypot(theta, 1))
        const c = 1 / Math.hypot(t, 1)
        const s = t * c
        for (let k = 0; k < N; k++) rotate(a[k] as Float64Array, p, q, c, s)
        for (let k = 0; k < N; k++) {
          const [x, y] = [ap[k] as number, aq[k] as number]
          ap[k] = c * x - s * y
          aq[k] = s * x + c * y
        }
        for (let k = 0; k < N; k++) rotate(vectors[k] as Float64Array, p, q, c, s)
      }
    }
    if (rest <= 1e-15 * size) break
  }
  return { values: Float64Array.from(a, (row, n) => row[n] as number), vectors }
}

function rotate(row: Float64Array, p: number, q: number, c: number, s: number): void {
  const [x, y] = [row[p] as number, row[q] as number]
  row[p] = c * x - s * y
  row[q] = s * x + c * y
}
