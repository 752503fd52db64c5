import {
  atTokens,
  constant,
  dims,
  type Gaps,
  gapsOf,
  HeadMaps,
  type LinearOptions,
  type Mixed,
  type MixerTraits,
  normalisedLinearAttention,
  type Pass,
  type Rng,
  type SequenceMixer,
  stopGradient,
  tokenAt,
} from '@mneme/core-tensor'
import { add, div, einsum, exp, expandDims, max, mul, reshape, sub, sum, type Tensor } from '@tensorflow/tfjs-core'
import type { FeatureMap } from './feature-maps.js'
import { NOTHING, runningMax } from './running-max.js'

export interface LinearAttentionOptions {
  readonly dModel: number
  readonly nHeads: number
  readonly dHead: number
  readonly featureMap: FeatureMap
  /** Added to the sum of weights; features that are kept as logarithms need none. */
  readonly eps: number
  /** Tokens a block of matrix products; changes cost, not results. */
  readonly chunk: number
  readonly projection?: LinearOptions
}

export type LinearAttentionState = {
  /** Σ φ(k) vᵀ, `[B, H, F, V]`, divided by e^top where features are kept as logarithms. */
  readonly memory: Tensor
  /** Σ φ(k), `[B, H, F]`, divided alike. */
  readonly normaliser: Tensor
  /** Greatest logarithm of a feature so far, `[B, H]`; null where features are plain. */
  readonly top: Tensor | null
}

/** Beside weights that are all below 1 this is nothing, and its square is not yet zero. */
const LOGARITHMIC_EPS = 1e-18

/**
 * Attention whose weights are products of features, so that sums over keys stand for the keys.
 *
 *   S_t = S_{t-1} + φ(k_t) v_tᵀ,   z_t = z_{t-1} + φ(k_t),   o_t = S_tᵀ φ(q_t) / (z_t·φ(q_t) + ε)
 *
 * φ a `FeatureMap` from K to F features. State S `[B, H, F, V]` and z `[B, H, F]`, constant in T. Time O(T F V) a head, in
 * chunks of matrix products.
 * Paper: Katharopoulos et al. 2020, arXiv:2006.16236, section 3; random features: Choromanski et al. 2020,
 * arXiv:2009.14794.
 * Differs: random features are scaled by their running maximum, not by that of the whole text, which would look ahead.
 */
export class LinearAttention extends HeadMaps implements SequenceMixer<LinearAttentionState> {
  readonly traits: MixerTraits = { causal: true, padding: true, constantState: true }

  constructor(
    private readonly options: LinearAttentionOptions,
    rng: Rng,
  ) {
    super('LinearAttention', { projection: {}, ...options }, rng)
  }

  initialState(batch: number): LinearAttentionState {
    const { nHeads: H, dHead: K, featureMap } = this.options
    const F = featureMap.width(K)
    return {
      memory: constant([batch, H, F, K], 0),
      normaliser: constant([batch, H, F], 0),
      top: featureMap.logarithmic ? constant([batch, H], NOTHING) : null,
    }
  }

  forward(x: Tensor, state?: LinearAttentionState, pass?: Pass): Mixed<LinearAttentionState> {
    const { dModel, featureMap, eps, chunk } = this.options
    const { B, T } = dims('LinearAttention.forward x', x, 'B T D', { D: dModel })
    const before = state ?? this.initialState(B)
    const gaps = gapsOf('LinearAttention.forward', pass, B, T)
    const [q, k] = [this.heads(this.qProj, x), this.heads(this.kProj, x)]
    const scaled = scaledFeatures(featureMap, q, k, before.top, gaps)
    const {
      o,
      state: memory,
      normaliser,
    } = normalisedLinearAttention(
      {
        q: scaled.q,
        k: scaled.k,
        v: this.heads(this.vProj, x),
        ...(scaled.logDecay && { logDecay: scaled.logDecay }),
        ...(gaps && { resets: gaps.starts }),
        state: before.memory,
        normaliser: before.normaliser,
      },
      { chunk, scale: 1, eps: featureMap.logarithmic ? LOGARITHMIC_EPS : eps },
    )
    pass?.record?.record('memory', memory)
    return { y: this.fromHeads(o), state: { memory, normaliser, top: scaled.top } }
  }

  stateBytes(): number {
    const { nHeads: H, dHead: K, featureMap } = this.options
    return 4 * H * (featureMap.width(K) * (K + 1) + (featureMap.logarithmic ? 1 : 0))
  }
}

interface ScaledFeatures {
  readonly q: Tensor
  readonly k: Tensor
  /** What a rising scale takes from earlier keys, `[B, T, H, 1]`; null where features are plain. */
  readonly logDecay: Tensor | null
  readonly top: Tensor | null
}

/** Features of queries, and of keys that are tokens; logarithms of them become e^(log − greatest), whose scale cancels in the quotient. */
function scaledFeatures(
  map: FeatureMap,
  q: Tensor,
  k: Tensor,
  before: Tensor | null,
  gaps: Gaps | null,
): ScaledFeatures {
  const [logQ, logK] = [map.features(q), map.features(k)]
  if (before === null) return { q: logQ, k: atTokens(logK, gaps), logDecay: null, top: null }
  const { top, logDecay } = runningMax(max(logK, -1), before, gaps)
  return {
    q: exp(sub(logQ, stopGradient(max(logQ, -1, true)))),
    // padding may stand above all that was seen so far, or before anything was
    k: exp(atTokens(sub(logK, expandDims(top, 3)), gaps, NOTHING)),
    logDecay: expandDims(logDecay, 3),
    top: tokenAt(top, (top.shape[1] as number) - 1),
  }
}

/**
 * Linear attention of all tokens to all, `o_t = Σ_s (φ(q_t)·φ(k_s)) v_s / (Σ_s φ(q_t)·φ(k_s) + ε)`, in O(T F V).
 *
 * q, k `[B, T, H, F]` are features, v `[B, T, H, V]`, mask `[B, T]` 1 for keys that count.
 */
export function bidirectionalLinearAttention(q: Tensor, k: Tensor, v: Tensor, mask?: Tensor, eps = 1e-6): Tensor {
  const [B, T] = k.shape as [number, number]
  const keys = mask === undefined ? k : mul(k, reshape(mask, [B, T, 1, 1]))
  const memory = einsum('bthf,bthv->bhfv', keys, v)
  const weights = sum(mul(q, sum(keys, 1, true)), -1, true)
  return div(einsum('bthf,bhfv->bthv', q, memory), add(weights, eps))
}
