import { atTokens, constant, type Gaps, gatedLinearAttention, linearScan, overGaps, tokenAt } from '@mneme/core-tensor'
import { div, exp, maximum, reshape, sub, type Tensor } from '@tensorflow/tfjs-core'
import { NOTHING, runningMax } from './running-max.js'

/** Sums over all tokens so far, each slot's divided by e^top. */
export type PrefixState = {
  /** Σ e^s v, `[B, H, L, V]` */
  readonly sums: Tensor
  /** Σ e^s, `[B, H, L]` */
  readonly totals: Tensor
  /** Greatest score so far, `[B, H, L]`. */
  readonly top: Tensor
}

/** A prefix of no tokens, for B rows. */
export function emptyPrefix(B: number, H: number, L: number, V: number): PrefixState {
  return {
    sums: constant([B, H, L, V], 0),
    totals: constant([B, H, L], 0),
    top: constant([B, H, L], NOTHING),
  }
}

/** Bytes of one row. */
export const prefixBytes = (H: number, L: number, V: number): number => 4 * H * L * (V + 2)

/**
 * Softmax attention along time whose scores do not depend on the query: of every slot the average of all values so far,
 * as a scan; and of these averages a mixture.
 *
 *   o_t = Σ_l r_tl (Σ_{s ≤ t} e^{k_sl} v_s) / (Σ_{s ≤ t} e^{k_sl})
 *
 * scores k `[B, T, H, L]` of any size, values v `[B, T, H, V]`, mixture r `[B, T, H, L]`; returns o `[B, T, H, V]`. Time
 * O(T L V) a head, state O(L V) a head.
 */
export function prefixAttention(
  { scores, values, mixture }: { readonly scores: Tensor; readonly values: Tensor; readonly mixture: Tensor },
  state: PrefixState,
  gaps: Gaps | null,
  chunk: number,
): { readonly o: Tensor; readonly state: PrefixState } {
  const [B, T, H, L] = scores.shape as [number, number, number, number]
  const flat = reshape(scores, [B, T, H * L])
  const slots = (x: Tensor): Tensor => reshape(x, [B, H, L])
  const { top, logDecay } = runningMax(flat, reshape(state.top, [B, H * L]), gaps)
  // padding may stand above all that was seen so far, or before anything was
  const weights = exp(atTokens(sub(flat, top), gaps, NOTHING))
  const scan = overGaps(exp(logDecay), weights, gaps)
  const totals = linearScan({ ...scan, h0: reshape(state.totals, [B, H * L]) }).h
  // what has the greatest score counts as 1, so a row that has seen a token is never below
  const shares = div(mixture, reshape(maximum(totals, 0.5), [B, T, H, L]))
  const { o, state: sums } = gatedLinearAttention(
    {
      q: shares,
      k: reshape(weights, [B, T, H, L]),
      v: values,
      logDecay: reshape(logDecay, [B, T, H, L]),
      ...(gaps && { resets: gaps.starts }),
      state: state.sums,
    },
    { chunk, scale: 1 },
  )
  return { o, state: { sums, totals: slots(tokenAt(totals, T - 1)), top: slots(tokenAt(top, T - 1)) } }
}
