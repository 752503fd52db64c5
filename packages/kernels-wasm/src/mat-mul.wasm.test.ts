import { getBackend, matMul, type Tensor, tensor, tidy } from '@tensorflow/tfjs-core'
import { describe, expect, it } from 'vitest'

/** The product in double precision, for matrices stored as the flags say. */
function product(
  a: Float32Array,
  b: Float32Array,
  m: number,
  n: number,
  k: number,
  ta: boolean,
  tb: boolean,
): number[] {
  return Array.from({ length: m * n }, (_, at) => {
    const i = Math.floor(at / n)
    const j = at % n
    let sum = 0
    for (let p = 0; p < k; p++) {
      sum += (a[ta ? p * m + i : i * k + p] as number) * (b[tb ? j * k + p : p * n + j] as number)
    }
    return sum
  })
}

const wave = (count: number, phase: number): Float32Array =>
  Float32Array.from({ length: count }, (_, i) => Math.sin(1.7 * i * i + phase))

function close(got: Tensor, expected: readonly number[]): void {
  const values = got.dataSync()
  expect(values.length).toBe(expected.length)
  const scale = Math.sqrt(expected.reduce((sum, x) => sum + x * x, 0) / Math.max(1, expected.length))
  const worst = expected.reduce((most, x, i) => Math.max(most, Math.abs(x - (values[i] as number))), 0)
  // sums of up to 600 products of size 1, rounded to 24 bits at each step
  expect(worst).toBeLessThanOrEqual(2e-5 * Math.max(1, scale))
}

const sizes = [1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 33]
const flags = [false, true]

describe('matMul', () => {
  it('runs on wasm', () => expect(getBackend()).toBe('wasm'))

  for (const ta of flags) {
    for (const tb of flags) {
      it(`multiplies every small size, transposeA=${ta}, transposeB=${tb}`, () => {
        for (const m of sizes) {
          for (const n of sizes) {
            for (const k of [1, 3, 4, 6, 8, 31]) {
              tidy(() => {
                const a = wave(m * k, 0.3)
                const b = wave(k * n, 0.9)
                const c = matMul(tensor(a, ta ? [k, m] : [m, k]), tensor(b, tb ? [n, k] : [k, n]), ta, tb)
                expect(c.shape).toEqual([m, n])
                close(c, product(a, b, m, n, k, ta, tb))
              })
            }
          }
        }
      })

      it(`multiplies across several blocks, transposeA=${ta}, transposeB=${tb}`, () => {
        for (const [m, n, k] of [
          [6, 530, 260],
          [21, 521, 515],
          [2, 1030, 600],
          [40, 2, 300],
        ] as const) {
          tidy(() => {
            const a = wave(m * k, 0.1)
            const b = wave(k * n, 0.2)
            const c = matMul(tensor(a, ta ? [k, m] : [m, k]), tensor(b, tb ? [n, k] : [k, n]), ta, tb)
            close(c, product(a, b, m, n, k, ta, tb))
          })
        }
      })
    }
  }

  it('broadcasts batch axes as NumPy does', () => {
    const [m, n, k] = [3, 5, 6]
    for (const [batchA, batchB, full] of [
      [[4], [4], [4]],
      [[4], [1], [4]],
      [[1], [4], [4]],
      [
        [2, 1],
        [1, 3],
        [2, 3],
      ],
      [
        [2, 3],
        [1, 3],
        [2, 3],
      ],
      [
        [1, 1],
        [2, 3],
        [2, 3],
      ],
    ] as const) {
      for (const ta of flags) {
        tidy(() => {
          const count = (shape: readonly number[]): number => shape.reduce((x, y) => x * y, 1)
          const a = wave(count(batchA) * m * k, 0.4)
          const b = wave(count(batchB) * n * k, 0.6)
          const c = matMul(tensor(a, [...batchA, ...(ta ? [k, m] : [m, k])]), tensor(b, [...batchB, n, k]), ta, true)
          expect(c.shape).toEqual([...full, m, n])
          const index = (i: number, own: readonly number[]): number => {
            const at = full.map((size, axis) => Math.floor(i / count(full.slice(axis + 1))) % size)
            return own.reduce((sum, size, axis) => sum * size + (size === 1 ? 0 : (at[axis] as number)), 0)
          }
          const expected = Array.from({ length: count(full) }, (_, i) => {
            const [x, y] = [index(i, batchA) * m * k, index(i, batchB) * n * k]
            return product(a.subarray(x, x + m * k), b.subarray(y, y + n * k), m, n, k, ta, true)
          }).flat()
          close(c, expected)
        })
      }
    }
  })

  it('gives zeros for an empty inner axis, and nothing for no rows', () => {
    tidy(() => {
      expect([...matMul(tensor([], [2, 0]), tensor([], [0, 3])).dataSync()]).toEqual([0, 0, 0, 0, 0, 0])
      expect(matMul(tensor([], [0, 4]), tensor(wave(12, 0), [4, 3])).shape).toEqual([0, 3])
    })
  })
})
