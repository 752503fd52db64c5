import {
  abs,
  add,
  cast,
  div,
  exp,
  expandDims,
  greater,
  maximum,
  minimum,
  mul,
  neg,
  softplus,
  sub,
  type Tensor,
  zeros,
} from '@tensorflow/tfjs-core'
import { type WatchedOp, watched } from '../watch.js'
import { shifted, tokenAt } from './along-time.js'
import { maxPlusScan } from './max-plus-scan.js'
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

/** Log gates that leave nothing; lower than any other, and far from overflow when some are added. */
const NEVER = -1e30
const FORGOTTEN = -1e20

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
export function mlstm(inputs: MlstmInputs, attrs: Partial<NormalisedAttrs> = {}): MlstmOutputs {
  return watched(watchedCell, inputs, (given) => cell(given, attrs))
}

const watchedCell: WatchedOp = {
  name: 'mlstm',
  inputs: {
    q: 'B T H K',
    k: 'B T H K',
    v: 'B T H V',
    inputGate: 'B T H',
    forgetGate: 'B T H',
    resets: '?B T',
    C: '?B H K V',
    n: '?B H K',
    m: '?B H',
  },
  mixes: { values: 'v', output: 'h', carried: ['C'] },
}

function cell(inputs: MlstmInputs, { eps = 1e-6, ...attrs }: Partial<NormalisedAttrs>): MlstmOutputs {
  const { q, k, v, inputGate, forgetGate, resets, C, n } = inputs
  const [B, T, H] = inputGate.shape as [number, number, number]
  const m0 = inputs.m ?? zeros([B, H])
  const logForget = neg(softplus(neg(forgetGate)))
  const starts = resets && cast(greater(expandDims(resets, 2), 0.5), 'float32')
  // a token that starts anew finds m at 0, as the first of a sequence does
  const kept = starts ? add(logForget, mul(starts, FORGOTTEN)) : logForget
  const fresh = starts ? maximum(inputGate, add(logForget, mul(sub(1, starts), NEVER))) : inputGate
  const { m } = maxPlusScan({ a: kept, b: fresh, m0 })
  const before = shifted(m, m0)
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
  return { h, C: state, n: normaliser, m: tokenAt(m, T - 1) }
}
