import { atTokens, type Gaps, gatedLinearAttention } from '@mneme/core-tensor'
import { reshape, type Tensor } from '@tensorflow/tfjs-core'
import { along } from './rwkv-shift.js'

/** What RWKV-5 and 6 carry: the last input `[B, D]`, and a matrix for each head `[B, H, K, V]`. */
export type RwkvMatrixState = { readonly last: Tensor; readonly memory: Tensor }

/** Where RWKV-5 and 6 start a decay, before both of its exponentials, by channel over all heads. */
export const decayStart =
  (width: number, rising: number) =>
  (channel: number): number =>
    -6 + 5 * along(channel, width) ** (0.7 + 1.3 * rising)

/** Where they start the weight of the token itself. */
export const bonusStart =
  (width: number, rising: number) =>
  (channel: number): number =>
    rising * (1 - along(channel, width)) + 0.1 * (((channel + 1) % 3) - 1)

export interface RwkvHeads {
  /** r and k `[B, T, H K]`, v `[B, T, H V]`. */
  readonly r: Tensor
  readonly k: Tensor
  readonly v: Tensor
  /** `[B, T, H, K]`, or one for all rows and tokens. */
  readonly logDecay: Tensor
  /** `[H, K]` */
  readonly bonus: Tensor
}

/**
 * The read and the memory of RWKV-5 and 6: the token itself is read with a weight of its own before it is stored.
 *
 *   o_t = S_{t-1}ᵀ r_t + (r_t · (u ⊙ k_t)) v_t,   S_t = diag(w_t) S_{t-1} + k_t v_tᵀ
 */
export function readRwkv(
  { r, k, v, logDecay, bonus }: RwkvHeads,
  memory: Tensor,
  gaps: Gaps | null,
  chunk: number,
): { readonly o: Tensor; readonly memory: Tensor } {
  const [B, T] = r.shape as [number, number, number]
  const H = bonus.shape[0] as number
  const heads = (x: Tensor): Tensor => reshape(x, [B, T, H, -1])
  const { o, state } = gatedLinearAttention(
    {
      q: heads(r),
      k: atTokens(heads(k), gaps),
      v: heads(v),
      logDecay: atTokens(logDecay, gaps),
      bonus,
      ...(gaps && { resets: gaps.starts }),
      state: memory,
    },
    { chunk, scale: 1 },
  )
  return { o: reshape(o, v.shape), memory: state }
}
