import { atTokens, type Gaps, maxPlusScan, shifted, stopGradient } from '@mneme/core-tensor'
import { add, expandDims, mul, sub, type Tensor, zerosLike } from '@tensorflow/tfjs-core'

/** The maximum of nothing: lower than any score, and far from overflow when some are added. */
export const NOTHING = -1e30
/** Leaves any score below any other, and stays above nothing. */
const FORGOTTEN = -1e20

export interface RunningMax {
  /** Greatest score up to each token, `[B, T, N]`. */
  readonly top: Tensor
  /** How far e^(score − top) of earlier tokens falls at each token, as a logarithm: at most 0. `[B, T, N]` */
  readonly logDecay: Tensor
}

/**
 * The scale that keeps sums of exponentials along time from overflowing: what is summed is e^(score − top), and earlier
 * sums fade by `logDecay` when the top rises. It cancels in every quotient of two such sums, so no gradient passes.
 *
 * scores `[B, T, N]`, before `[B, N]`, `NOTHING` at the start. Padding leaves the top as it is; a token that starts anew
 * forgets it.
 */
export function runningMax(scores: Tensor, before: Tensor, gaps: Gaps | null): RunningMax {
  const detached = stopGradient(scores)
  const m0 = stopGradient(before)
  const still = zerosLike(detached)
  if (gaps === null) {
    const { m } = maxPlusScan({ a: still, b: detached, m0 })
    return { top: m, logDecay: sub(shifted(m, m0), m) }
  }
  const starts = expandDims(gaps.starts, 2)
  const seen = atTokens(detached, gaps, NOTHING)
  const { m } = maxPlusScan({ a: add(still, mul(starts, FORGOTTEN)), b: seen, m0 })
  return { top: m, logDecay: mul(sub(shifted(m, m0), m), sub(1, starts)) }
}
