import { add, expandDims, mul, ones, sub, type Tensor, zeros } from '@tensorflow/tfjs-core'
import type { Pass } from '../mixer.js'
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
  if (pass.mask) dims(`${where} mask`, pass.mask, 'B T', { B, T })
  if (pass.resets) dims(`${where} resets`, pass.resets, 'B T', { B, T })
  const tokens = pass.mask ?? ones([B, T])
  return { tokens, starts: pass.resets ? mul(pass.resets, tokens) : zeros([B, T]) }
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
