import { getBackend } from '@tensorflow/tfjs-core'
import { expect } from 'vitest'

/** Below this largest absolute difference two results are the same, whatever their size. */
const ABSOLUTE = 1e-6

/** How far float32 results of one formula may lie apart, as RMS(error) / RMS(reference). */
export const tolerances = {
  /** Outputs and states: sums in another order. webgpu also has faster, rougher exp, log and division. */
  forward: (): number => (getBackend() === 'webgpu' ? 1e-4 : 1e-5),
  /** Gradients, and long chains of chunks: errors of the forward pass are carried into products. */
  gradient: (): number => 1e-3,
} as const

export interface Difference {
  readonly maxAbs: number
  /** RMS(actual - expected) / RMS(expected). */
  readonly relative: number
}

/** How far values are from those expected: the largest absolute difference, and the RMS of it over that of what is expected. */
export function difference(actual: ArrayLike<number>, expected: ArrayLike<number>): Difference {
  if (actual.length !== expected.length) {
    throw new RangeError(`difference: expected ${expected.length} values, got ${actual.length}.`)
  }
  let [maxAbs, error, reference] = [0, 0, 0]
  for (let i = 0; i < actual.length; i++) {
    const gap = (actual[i] as number) - (expected[i] as number)
    // a NaN on either side must not slip through a comparison
    maxAbs = Number.isNaN(gap) ? Number.POSITIVE_INFINITY : Math.max(maxAbs, Math.abs(gap))
    error += gap * gap
    reference += (expected[i] as number) ** 2
  }
  return { maxAbs, relative: Math.sqrt(error / Math.max(reference, Number.MIN_VALUE)) }
}

/** The project's rule: same within 1e-6, or RMS-relative error below `limit`. */
export function expectClose(actual: ArrayLike<number>, expected: ArrayLike<number>, limit: number, what: string): void {
  const { maxAbs, relative } = difference(actual, expected)
  const close = maxAbs <= ABSOLUTE || relative < limit
  expect(
    close,
    `${what}: max abs difference ${maxAbs.toExponential(2)}, RMS-relative ${relative.toExponential(2)}, allowed ${limit}`,
  ).toBe(true)
}
