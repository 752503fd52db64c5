import {
  constant,
  dims,
  gapsOf,
  type Mixed,
  type MixerTraits,
  type Pass,
  type Rng,
  type SequenceMixer,
} from '@mneme/core-tensor'
import { add, div, expandDims, mul, reshape, sum, type Tensor } from '@tensorflow/tfjs-core'
import { faded, OuterFeatures, type OuterFeaturesOptions } from './outer-features.js'

export type RelitOptions = OuterFeaturesOptions

export type RelitState = {
  /** C, `[B, H, F, K]` */
  readonly memory: Tensor
  /** s, `[B, H, F]` */
  readonly normaliser: Tensor
}

/** Keeps a read of nothing from being divided by nothing. */
const EPS = 1e-10

/**
 * Gated linear attention whose every entry of the matrix fades by a gate of its own: the outer product of one for the
 * features of keys and one for values.
 *
 *   C_t = (1 − γ_t β_tᵀ) ⊙ C_{t-1} + γ_t β_tᵀ ⊙ φ(k_t) v_tᵀ,   s_t = (1 − γ_t) ⊙ s_{t-1} + γ_t ⊙ φ(k_t)
 *   o_t = C_tᵀ φ(q_t) / (s_t·φ(q_t) + 10⁻¹⁰)
 *
 * φ(x) = relu(x) ⊗ relu(p) and γ = σ(g) ⊗ σ(p') `[F]`, β `[K]`, F = η K. State: C `[B, H, F, K]` and s, constant in T. The
 * gates do not factor into a chunk's matrix products, so the states of all tokens are a scan: time and memory O(T F K) a
 * head; `AReLiT` is the form that does without the matrix.
 * Paper: Pramanik et al. 2023, arXiv:2310.15719, section 3.
 * Differs: one map makes keys, queries, values and gates; the authors' queries pass one more.
 */
export class ReLiT extends OuterFeatures implements SequenceMixer<RelitState> {
  readonly traits: MixerTraits = { causal: true, padding: true, constantState: true }

  constructor(
    private readonly options: RelitOptions,
    rng: Rng,
  ) {
    super(options, rng)
  }

  initialState(batch: number): RelitState {
    const { nHeads: H, dHead: K } = this.options
    return {
      memory: constant([batch, H, this.features, K], 0),
      normaliser: constant([batch, H, this.features], 0),
    }
  }

  forward(x: Tensor, state?: RelitState, pass?: Pass): Mixed<RelitState> {
    const { dModel, nHeads: H, dHead: K } = this.options
    const { B, T } = dims('ReLiT.forward x', x, 'B T D', { D: dModel })
    const before = state ?? this.initialState(B)
    const gaps = gapsOf('ReLiT.forward', pass, B, T)
    const { k, q, v, beta, gamma } = this.gatedHeads(x)
    const outer = (a: Tensor, b: Tensor): Tensor => mul(expandDims(a, 4), expandDims(b, 3)) // [B, T, H, F, K]
    const gate = outer(gamma, beta)
    const memory = faded(gate, mul(gate, outer(k, v)), before.memory, gaps)
    const sums = faded(gamma, mul(gamma, k), before.normaliser, gaps)
    const read = sum(mul(memory.all, expandDims(q, 4)), 3)
    const o = div(read, add(sum(mul(sums.all, q), -1, true), EPS))
    pass?.record?.record('gamma', gamma)
    pass?.record?.record('memory', memory.last)
    return {
      y: this.oProj.forward(reshape(o, [B, T, H * K])),
      state: { memory: memory.last, normaliser: sums.last },
    }
  }

  stateBytes(): number {
    const { nHeads: H, dHead: K } = this.options
    return 4 * H * this.features * (K + 1)
  }
}
