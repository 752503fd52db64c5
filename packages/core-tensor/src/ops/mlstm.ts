import {
  abs,
  add,
  cast,
  concat,
  div,
  exp,
  expandDims,
  greater,
  maximum,
  minimum,
  mul,
  neg,
  pad,
  reshape,
  slice,
  softplus,
  sub,
  type Tensor,
  zeros,
} from '@tensorflow/tfjs-core'
import { type NormalisedAttrs, withNormaliser } from './normalised-linear-attention.js'

export interface MlstmInputs {
  readonly q: Tensor
  readonly k: Tensor
  readonly v: Tensor
  /** Pre-activation: the gate is its exponential, `[B, T, H]`. */
  readonly inputGate: Tensor
  /** Pre-activation: the gate is its sigmoid, `[B, T, H]`. */
  readonly forgetGate: Tensor
  /** 1 where a token starts from an empty state, `[B, T]`. */
  readonly resets?: Tensor
  /** Matrix memory divided by e^m, `[B, H, K, V]`. */
  readonly C?: Tensor
  /** Normaliser divided by e^m, `[B, H, K]`. */
  readonly n?: Tensor
  /** Logarithm of the scale of C and n, `[B, H]`. */
  readonly m?: Tensor
}

export interface MlstmOutputs {
  readonly h: Tensor
  readonly C: Tensor
  readonly n: Tensor
  readonly m: Tensor
}

/** Lower than any sum of log gates, and far from overflow when a few are added. */
const NEVER = -1e30
const FORGOTTEN = -1e20

/** `m_t = max(a_t + m_{t-1}, b_t)` over `[B, T, H]` in log2(T) rounds, each joining spans twice as long. */
function runningMax(a: Tensor, b: Tensor, m0: Tensor): Tensor {
  const [B, T, H] = a.shape as [number, number, number]
  const first = add(slice(a, [0, 0, 0], [B, 1, H]), expandDims(m0, 1))
  let decay = a
  let m = maximum(T === 1 ? first : concat([first, slice(b, [0, 1, 0], [B, T - 1, H])], 1), b)
  const earlier = (x: Tensor, span: number, empty: number): Tensor =>
    pad(
      slice(x, [0, 0, 0], [B, T - span, H]),
      [
        [0, 0],
        [span, 0],
        [0, 0],
      ],
      empty,
    )
  for (let span = 1; span < T; span *= 2) {
    m = maximum(m, add(decay, earlier(m, span, NEVER)))
    if (2 * span < T) decay = add(decay, earlier(decay, span, 0))
  }
  return m
}

/**
 * The cell of mLSTM: linear attention with an exponential input gate, a sigmoid forget gate and a normaliser. State and
 * normaliser are kept divided by e^m, where m is the largest log gate that still counts, so that nothing overflows.
 *
 *   m_t = max(ln σ(f_t) + m_{t-1}, i_t);   F = σ(f_t) e^(m_{t-1} - m_t);   I = e^(i_t - m_t)
 *   C_t = F C_{t-1} + I k_t v_tᵀ;   n_t = F n_{t-1} + I k_t
 *   h_t = C_tᵀ q_t / (max(|n_t · q_t|, e^(-m_t)) + eps),   q scaled by K^-1/2
 *
 * q, k `[B, T, H, K]`, v `[B, T, H, V]`, gates of any size `[B, T, H]`; C, n, m start at 0. Returns h `[B, T, H, V]`, and
 * C, n, m after T tokens; gradients pass through the maximum. Time O(T K V), state O(K V + K) a head.
 * Source: Beck et al. 2024, arXiv:2405.04517, section 2.3; Beck et al. 2025, arXiv:2503.13427, section 3.
 */
export function mlstm(inputs: MlstmInputs, { eps = 1e-6, ...attrs }: Partial<NormalisedAttrs> = {}): MlstmOutputs {
  const { q, k, v, inputGate, forgetGate, resets, C, n } = inputs
  const [B, T, H] = inputGate.shape as [number, number, number]
  const m0 = inputs.m ?? zeros([B, H])
  const logForget = neg(softplus(neg(forgetGate)))
  const starts = resets && cast(greater(expandDims(resets, 2), 0.5), 'float32')
  // a token that starts anew finds m at 0, as the first of a sequence does
  const kept = starts ? add(logForget, mul(starts, FORGOTTEN)) : logForget
  const fresh = starts ? maximum(inputGate, add(logForget, mul(sub(1, starts), NEVER))) : inputGate
  const m = runningMax(kept, fresh, m0)
  const before = T === 1 ? expandDims(m0, 1) : concat([expandDims(m0, 1), slice(m, [0, 0, 0], [B, T - 1, H])], 1)
  // m minus the m before is exact where they are near, so what m has lost to rounding is put back here
  const change = add(logForget, sub(before, m))
  const logDecay = starts ? mul(change, sub(1, starts)) : change
  const { numerator, denominator, state, normaliser } = withNormaliser(
    {
      q,
      k: mul(k, expandDims(exp(sub(inputGate, m)), 3)),
      v,
      logDecay: expandDims(logDecay, 3),
      ...(resets && { resets }),
      ...(C && { state: C }),
      ...(n && { normaliser: n }),
    },
    attrs,
  )
  // e^-m would overflow below -88: there both sides of the fraction are multiplied by e^m
  const scale = expandDims(exp(minimum(m, 0)), 3)
  const floor = expandDims(exp(neg(maximum(m, 0))), 3)
  const h = div(mul(numerator, scale), add(maximum(mul(abs(denominator), scale), floor), mul(scale, eps)))
  const last = slice(m, [0, T - 1, 0], [B, 1, H])
  return { h, C: state, n: normaliser, m: reshape(last, [B, H]) }
}
