import {
  constant,
  cosSin,
  counted,
  dims,
  type Gaps,
  gapsOf,
  type Mixed,
  type MixerTraits,
  noTokens,
  type Pass,
  type Rng,
  type SequenceMixer,
  type TokenCount,
  wholeNumber,
} from '@mneme/core-tensor'
import { add, div, expandDims, mod, mul, ones, reshape, sum, type Tensor, tensor1d } from '@tensorflow/tfjs-core'
import { faded, OuterFeatures, type OuterFeaturesOptions } from './outer-features.js'

export interface ArelitOptions extends OuterFeaturesOptions {
  /** Cosines that stand in for the matrix state. */
  readonly components: number
  /** Frequencies from −π to π, as published, where those at −ω and ω are the same cosine; or from 0 to π. */
  readonly spectrum: 'full' | 'half'
}

export type ArelitState = TokenCount & {
  /** k̃, `[B, R, H, F]` */
  readonly keys: Tensor
  /** ṽ, `[B, R, H, K]` */
  readonly values: Tensor
  /** s, `[B, H, F]` */
  readonly normaliser: Tensor
}

/**
 * Approximate gated linear attention: instead of the matrix Σ v kᵀ, vectors that are summed with a few cosines of time.
 *
 *   k̃ʳ_t = (1 − γ_t) ⊙ k̃ʳ_{t-1} + cos(ω_r t) γ_t ⊙ φ(k_t),   ṽʳ_t = (1 − β_t) ⊙ ṽʳ_{t-1} + cos(ω_r t) β_t ⊙ v_t
 *   s_t = (1 − γ_t) ⊙ s_{t-1} + γ_t ⊙ φ(k_t),   o_t = Σ_r ṽʳ_t (k̃ʳ_t·φ(q_t)) / (2R s_t·φ(q_t) + 10⁻⁵)
 *
 * φ(x) = relu(x) ⊗ relu(p) `[F]`, γ = σ(g) ⊗ σ(p'), F = η K; ω_r evenly from −π to π; t is 2 at the first token. State:
 * R (F + K) + F values a head, constant in T. Time O(T R F) a head.
 * Paper: Pramanik et al. 2023, arXiv:2310.15719, sections 3 and 4.
 * Differs: t starts anew with each document, so that what comes after a reset is as from the start.
 */
export class AReLiT extends OuterFeatures implements SequenceMixer<ArelitState> {
  readonly traits: MixerTraits = { causal: true, padding: true, constantState: true }
  private readonly frequencies: readonly number[]

  constructor(
    private readonly options: ArelitOptions,
    rng: Rng,
  ) {
    super(options, rng)
    const { components: R, spectrum } = options
    wholeNumber('AReLiT components', R)
    const low = spectrum === 'full' ? -Math.PI : 0
    this.frequencies = Array.from({ length: R }, (_, r) => (R === 1 ? low : low + ((Math.PI - low) * r) / (R - 1)))
  }

  initialState(batch: number): ArelitState {
    const { nHeads: H, dHead: K, components: R } = this.options
    return {
      keys: constant([batch, R, H, this.features], 0),
      values: constant([batch, R, H, K], 0),
      normaliser: constant([batch, H, this.features], 0),
      ...noTokens,
    }
  }

  forward(x: Tensor, state?: ArelitState, pass?: Pass): Mixed<ArelitState> {
    const { dModel, nHeads: H, dHead: K, components: R } = this.options
    const { B, T } = dims('AReLiT.forward x', x, 'B T D', { D: dModel })
    const before = state ?? this.initialState(B)
    const gaps = gapsOf('AReLiT.forward', pass, B, T)
    const { k, q, v, beta, gamma } = this.gatedHeads(x)
    const { counts, next } = counted(before, gaps, B, T)
    const waves = this.waves(counts)
    const keys = waving(gamma, mul(gamma, k), waves, before.keys, gaps)
    const values = waving(beta, mul(beta, v), waves, before.values, gaps)
    const sums = faded(gamma, mul(gamma, k), before.normaliser, gaps)
    const read = sum(mul(values.all, sum(mul(keys.all, expandDims(q, 2)), -1, true)), 2)
    const weight = sum(mul(sums.all, q), -1, true)
    const o = div(read, add(mul(weight, 2 * R), 1e-5))
    pass?.record?.record('gamma', gamma)
    return {
      y: this.oProj.forward(reshape(o, [B, T, H * K])),
      state: { keys: keys.last, values: values.last, normaliser: sums.last, ...next },
    }
  }

  /** cos(ω t) of every component at every token, `[B or 1, T, R]`. */
  private waves(counts: Tensor): Tensor {
    // all cosines come round together, so a long count keeps its digits
    const period = 2 * Math.max(1, this.options.components - 1)
    return cosSin({ angle: mul(mod(add(counts, 1), period), tensor1d([...this.frequencies])) }).cos
  }

  stateBytes(): number {
    const { nHeads: H, dHead: K, components: R } = this.options
    return 4 * H * (R * (this.features + K) + this.features)
  }
}

/** `faded`, what is written once for each component, by its wave: gate and written `[B, T, H, W]`, all `[B, T, R, H, W]`. */
function waving(
  gate: Tensor,
  written: Tensor,
  waves: Tensor,
  before: Tensor,
  gaps: Gaps | null,
): ReturnType<typeof faded> {
  const R = waves.shape[2] as number
  const each = mul(expandDims(gate, 2), ones([1, 1, R, 1, 1]))
  return faded(each, mul(expandDims(written, 2), expandDims(expandDims(waves, 3), 4)), before, gaps)
}
