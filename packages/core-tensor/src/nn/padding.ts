import {
  add,
  cast,
  concat,
  expandDims,
  mul,
  ones,
  relu,
  reshape,
  slice,
  sub,
  type Tensor,
  zeros,
} from '@tensorflow/tfjs-core'
import { keepHostValues } from '../host-values.js'
import type { Pass } from '../mixer.js'
import { shifted, tokenAt } from '../ops/along-time.js'
import { linearScan } from '../ops/linear-scan.js'
import { dims } from '../shape.js'

export interface Gaps {
  /** 1 for a token, 0 for padding. `[B, T]` */
  readonly tokens: Tensor
  /** 1 where a token starts anew; never at padding. `[B, T]` */
  readonly starts: Tensor
}

/** Mask and resets of a pass, checked and completed; null when every position is a plain token. */
export function gapsOf(where: string, pass: Pass | undefined, B: number, T: number): Gaps | null {
  if (pass?.mask === undefined && pass?.resets === undefined) return null
  for (const name of ['mask', 'resets'] as const) {
    const given = pass[name]
    if (given === undefined) continue
    dims(`${where} ${name}`, given, 'B T', { B, T })
    // layers after this one may have to know them
    keepHostValues(given)
  }
  const tokens = pass.mask ?? ones([B, T])
  return { tokens, starts: pass.resets ? mul(pass.resets, tokens) : zeros([B, T]) }
}

/**
 * Positions of tokens, int32 `[B, T]`, and of those that follow, `[B, 1]`: padding takes none, and a token that starts
 * anew stands at 0. Padding itself is counted on from the token before it. before `[B, 1]`: tokens of each row so far.
 */
export function positionsOf(gaps: Gaps, before: Tensor): { readonly positions: Tensor; readonly next: Tensor } {
  const [B, T] = gaps.tokens.shape as [number, number]
  const padding = expandDims(sub(1, gaps.tokens), 2)
  const { h } = linearScan({
    a: expandDims(sub(1, gaps.starts), 2),
    b: expandDims(gaps.tokens, 2),
    h0: before,
  })
  const run = linearScan({ a: padding, b: padding }).h
  // counts start at 1; the half keeps rounding away
  const positions = cast(relu(sub(reshape(add(h, run), [B, T]), 0.5)), 'int32')
  return { positions, next: tokenAt(h, T - 1) }
}

/** x `[B, T, ...]` at tokens, and `otherwise` at padding; x may be of size 1 along axes that all rows or tokens share. */
export function atTokens(x: Tensor, gaps: Gaps | null, otherwise = 0): Tensor {
  if (gaps === null) return x
  const isToken = reshape(gaps.tokens, [...gaps.tokens.shape, ...x.shape.slice(2).map(() => 1)])
  const there = mul(x, isToken)
  return otherwise === 0 ? there : add(there, mul(sub(1, isToken), otherwise))
}

/**
 * The coefficients of `h_t = a_t h_{t-1} + b_t` with padding stepped over (a = 1, b = 0) and resets honoured (the state
 * before such a token is `initial`, zero if not given). a, b `[B, T, D]`, initial `[B, D]`.
 */
export function overGaps(a: Tensor, b: Tensor, gaps: Gaps | null, initial?: Tensor): { a: Tensor; b: Tensor } {
  if (gaps === null) return { a, b }
  const tokens = expandDims(gaps.tokens, 2)
  const starts = expandDims(gaps.starts, 2)
  const kept = add(mul(a, sub(tokens, starts)), sub(1, tokens))
  const written = mul(b, tokens)
  return { a: kept, b: initial ? add(written, mul(mul(a, starts), expandDims(initial, 1))) : written }
}

/**
 * What stood at the token before each, and at the last of all: padding is stepped over, and a token that starts anew
 * finds zeros. x `[B, T, D]`, before `[B, D]`.
 */
export function previousTokens(
  x: Tensor,
  before: Tensor,
  gaps: Gaps | null,
): { readonly previous: Tensor; readonly last: Tensor } {
  const [B, T, D] = x.shape as [number, number, number]
  if (gaps === null) return { previous: shifted(x, before), last: tokenAt(x, T - 1) }
  const tokens = expandDims(gaps.tokens, 2)
  // at padding the last token stays the last
  const { h } = linearScan({ a: mul(sub(1, tokens), ones([B, T, D])), b: mul(x, tokens), h0: before })
  return { previous: mul(shifted(h, before), sub(1, expandDims(gaps.starts, 2))), last: tokenAt(h, T - 1) }
}

/**
 * The last `width` tokens of each, itself last, `[B, T, D]` each, and the tail after all of them. Padding is stepped over, and
 * a token that starts anew finds zeros. tail `[B, width - 1, D]`, oldest first.
 */
export function latestTokens(
  x: Tensor,
  tail: Tensor,
  gaps: Gaps | null,
): { readonly lags: readonly Tensor[]; readonly tail: Tensor } {
  const [B, T, D] = x.shape as [number, number, number]
  const width = (tail.shape[1] as number) + 1
  if (gaps === null) {
    const all = concat([tail, x], 1)
    const lags = Array.from({ length: width }, (_, lag) => slice(all, [0, lag, 0], [B, T, D]))
    return { lags, tail: slice(all, [0, T, 0], [B, width - 1, D]) }
  }
  const lags = [x]
  const places: Tensor[] = []
  for (let j = 1; j < width; j++) {
    // the j-th last token is what the (j-1)-th last was one token before
    const before = reshape(slice(tail, [0, width - 1 - j, 0], [B, 1, D]), [B, D])
    const { previous, last } = previousTokens(lags[0] as Tensor, before, gaps)
    lags.unshift(previous)
    places.unshift(expandDims(last, 1))
  }
  return { lags, tail: concat(places, 1) }
}
