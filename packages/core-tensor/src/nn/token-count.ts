import { cast, fill, maximum, ones, range, reshape, sub, type Tensor } from '@tensorflow/tfjs-core'
import { tokenAt } from '../ops/along-time.js'
import { linearScan } from '../ops/linear-scan.js'
import { type Gaps, overGaps } from './padding.js'

/** How many tokens each row has seen; a state of its own only once rows differ. */
export type TokenCount = {
  /** Tokens seen, padding included. */
  readonly position: number
  /** Tokens of each row's document, padding left out, `[B]`; null while that is `position` for all. */
  readonly count: Tensor | null
}

/** Nothing seen yet. */
export const noTokens: TokenCount = { position: 0, count: null }

/** Where the tokens of a call stand in their rows. */
export interface Counted {
  /** Number of each token in its document, from 1 on; at padding that of the token before. `[B or 1, T, 1]` */
  readonly counts: Tensor
  /** One less than that, int32 `[B, T]`; null where all rows count alike, on from the same position. */
  readonly positions: Tensor | null
  readonly next: TokenCount
}

/** How many tokens stand up to each position, itself included, in the whole sequence so far: padding does not count, a reset starts anew. */
export function counted({ position, count }: TokenCount, gaps: Gaps | null, B: number, T: number): Counted {
  if (gaps === null && count === null) {
    const counts = reshape(range(position + 1, position + T + 1), [1, T, 1])
    return { counts, positions: null, next: { position: position + T, count: null } }
  }
  const one = ones([B, T, 1])
  const start = reshape(count ?? fill([B], position), [B, 1])
  const counts = linearScan({ ...overGaps(one, one, gaps), h0: start }).h
  const positions = cast(maximum(sub(reshape(counts, [B, T]), 1), 0), 'int32')
  return { counts, positions, next: { position: position + T, count: reshape(tokenAt(counts, T - 1), [B]) } }
}
