import { expandDims, mul, onesLike, sub, type Tensor } from '@tensorflow/tfjs-core'
import { shifted, tokenAt } from '../ops/along-time.js'
import { linearScan } from '../ops/linear-scan.js'
import type { Gaps } from './padding.js'

export interface Shift {
  /** The token before each, `[B, T, D]`; zero before the first of a document. */
  readonly before: Tensor
  /** The last token, `[B, D]`: what the next call gets as `last`. */
  readonly last: Tensor
}

/**
 * The token before each of x `[B, T, D]`, after `last` `[B, D]`. Padding is stepped over, and a reset starts anew.
 * Source: Peng et al. 2023, arXiv:2305.13048, section 3.1.1 (token shift).
 */
export function tokenShift(x: Tensor, last: Tensor, gaps: Gaps | null): Shift {
  const T = x.shape[1] as number
  if (gaps === null) return { before: shifted(x, last), last: tokenAt(x, T - 1) }
  const isToken = expandDims(gaps.tokens, 2)
  // the last token up to each position: padding hands on what was there
  const held = linearScan({ a: sub(1, mul(isToken, onesLike(x))), b: mul(x, isToken), h0: last }).h
  return { before: mul(shifted(held, last), expandDims(sub(1, gaps.starts), 2)), last: tokenAt(held, T - 1) }
}
