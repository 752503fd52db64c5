import { add, div, expandDims, ones, squeeze, type Tensor } from '@tensorflow/tfjs-core'
import { type WatchedOp, watched } from '../watch.js'
import {
  type GatedLinearAttentionAttrs,
  type GatedLinearAttentionInputs,
  gatedLinearAttention,
} from './gated-linear-attention.js'

export interface NormalisedInputs extends GatedLinearAttentionInputs {
  /** Decayed sum of the keys before the first token, `[B, H, K]`; zeros if absent. */
  readonly normaliser?: Tensor
}

export interface WithNormaliser {
  /** Read from the state, before any division, `[B, T, H, V]`. */
  readonly numerator: Tensor
  /** Read from the normaliser, `[B, T, H, 1]`. */
  readonly denominator: Tensor
  readonly state: Tensor
  /** `[B, H, K]` after T tokens. */
  readonly normaliser: Tensor
}

/**
 * `gatedLinearAttention` that also keeps the decayed sum of its keys and reads it as it does the state: one more column
 * of values, which are all 1. It is a call of its own, which costs less than putting columns together and apart.
 */
export function withNormaliser(
  inputs: NormalisedInputs,
  attrs: Partial<GatedLinearAttentionAttrs> = {},
): WithNormaliser {
  const { v, state: start, normaliser, ...others } = inputs
  const [B, T, H] = v.shape as [number, number, number, number]
  const { o, state } = gatedLinearAttention({ ...others, v, ...(start && { state: start }) }, attrs)
  const column = { v: ones([B, T, H, 1]), ...(normaliser && { state: expandDims(normaliser, 3) }) }
  const sums = gatedLinearAttention({ ...others, ...column }, attrs)
  return { numerator: o, denominator: sums.o, state, normaliser: squeeze(sums.state, [3]) }
}

export interface NormalisedAttrs extends GatedLinearAttentionAttrs {
  /** Added to the denominator. */
  readonly eps: number
}

/**
 * Linear attention whose weights sum to one: `gatedLinearAttention`, divided by what the query reads of the keys alone.
 *
 *   z_t = α_t z_{t-1} + k_t;   o_t = S_tᵀ q_t / (z_t · q_t + eps)
 *
 * Inputs as `gatedLinearAttention` has them, and the normaliser z `[B, H, K]`; q and k should have passed a feature map
 * that leaves no negative values, else the denominator can vanish. Time O(T K V), state O(K V + K) a head.
 * Source: Katharopoulos et al. 2020, arXiv:2006.16236, section 3.4.
 */
export function normalisedLinearAttention(
  inputs: NormalisedInputs,
  { eps = 1e-6, ...attrs }: Partial<NormalisedAttrs> = {},
): { readonly o: Tensor; readonly state: Tensor; readonly normaliser: Tensor } {
  return watched(normalised, inputs, (given) => {
    const { numerator, denominator, state, normaliser } = withNormaliser(given, attrs)
    return { o: div(numerator, add(denominator, eps)), state, normaliser }
  })
}

const normalised: WatchedOp = {
  name: 'normalisedLinearAttention',
  inputs: { ...gatedLinearAttention.spec.inputs, normaliser: '?B H K' },
  mixes: { values: 'v', output: 'o', carried: ['state'] },
}
