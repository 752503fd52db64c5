import {
  constant,
  dims,
  type Gaps,
  gapsOf,
  Linear,
  type LinearOptions,
  linearScan,
  type Mixed,
  type MixerTraits,
  Module,
  overGaps,
  type Pass,
  type Rng,
  type SequenceMixer,
  tokenAt,
  wholeNumber,
} from '@mneme/core-tensor'
import {
  add,
  cos,
  div,
  expandDims,
  mod,
  mul,
  ones,
  relu,
  reshape,
  sigmoid,
  split,
  sub,
  sum,
  type Tensor,
  tensor1d,
} from '@tensorflow/tfjs-core'
import { counted, noTokens, type TokenCount } from './token-count.js'

export interface ArelitOptions {
  readonly dModel: number
  readonly nHeads: number
  readonly dHead: number
  /** Features of a head over its width. */
  readonly expansion: number
  /** Cosines that stand in for the matrix state. */
  readonly components: number
  /** Frequencies from −π to π, as published, where those at −ω and ω are the same cosine; or from 0 to π. */
  readonly spectrum: 'full' | 'half'
  readonly projection?: LinearOptions
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
export class AReLiT extends Module implements SequenceMixer<ArelitState> {
  readonly traits: MixerTraits = { causal: true, padding: true, constantState: true }
  /** Keys, queries, values, and the gates β and γ. */
  readonly inProj: Linear
  /** What keys, queries and γ are multiplied out with. */
  readonly featureProj: Linear
  readonly oProj: Linear
  private readonly frequencies: readonly number[]
  private readonly features: number

  constructor(
    private readonly options: ArelitOptions,
    rng: Rng,
  ) {
    super()
    const { dModel: D, nHeads: H, dHead: K, expansion, components: R, spectrum, projection = {} } = options
    wholeNumber('AReLiT components', R)
    const zeroBias = { biasInit: (_: Rng, shape: readonly number[]) => constant(shape, 0), ...projection }
    this.inProj = new Linear(D, 5 * H * K, rng, zeroBias)
    this.featureProj = new Linear(D, 3 * H * expansion, rng, zeroBias)
    this.oProj = new Linear(H * K, D, rng, zeroBias)
    this.features = expansion * K
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
    const { dModel, nHeads: H, dHead: K, expansion, components: R } = this.options
    const { B, T } = dims('AReLiT.forward x', x, 'B T D', { D: dModel })
    const F = this.features
    const before = state ?? this.initialState(B)
    const gaps = gapsOf('AReLiT.forward', pass, B, T)
    const parts = (proj: Linear, count: number, width: number): Tensor[] =>
      split(proj.forward(x), count, 2).map((part) => reshape(part, [B, T, H, width]))
    const [rawK, rawQ, v, rawBeta, rawGamma] = parts(this.inProj, 5, K) as [Tensor, Tensor, Tensor, Tensor, Tensor]
    const [pK, pQ, pGamma] = parts(this.featureProj, 3, expansion) as [Tensor, Tensor, Tensor]
    const outer = (a: Tensor, b: Tensor): Tensor => reshape(mul(expandDims(a, 4), expandDims(b, 3)), [B, T, H, F])
    const [k, q] = [outer(relu(rawK), relu(pK)), outer(relu(rawQ), relu(pQ))]
    const gamma = outer(sigmoid(rawGamma), sigmoid(pGamma))
    const beta = sigmoid(rawBeta)
    const { counts, next } = counted(before, gaps, B, T)
    const waves = this.waves(counts)
    const keys = faded(gamma, mul(gamma, k), waves, before.keys, gaps)
    const values = faded(beta, mul(beta, v), waves, before.values, gaps)
    const flat = reshape(before.normaliser, [B, 1, H, F])
    const sums = faded(gamma, mul(gamma, k), ones([1, 1, 1]), flat, gaps)
    const query = expandDims(q, 2)
    const read = sum(mul(values.all, sum(mul(keys.all, query), -1, true)), 2)
    const weight = sum(mul(sums.all, query), -1, true)
    const o = div(read, add(mul(reshape(weight, [B, T, H, 1]), 2 * R), 1e-5))
    pass?.record?.record('gamma', gamma)
    return {
      y: this.oProj.forward(reshape(o, [B, T, H * K])),
      state: {
        keys: keys.last,
        values: values.last,
        normaliser: reshape(sums.last, [B, H, F]),
        ...next,
      },
    }
  }

  /** cos(ω t) of every component at every token, `[B or 1, T, R]`. */
  private waves(counts: Tensor): Tensor {
    // all cosines come round together, so a long count keeps its digits
    const period = 2 * Math.max(1, this.options.components - 1)
    return cos(mul(mod(add(counts, 1), period), tensor1d([...this.frequencies])))
  }

  stateBytes(): number {
    const { nHeads: H, dHead: K, components: R } = this.options
    return 4 * H * (R * (this.features + K) + this.features)
  }
}

/**
 * `h_t = (1 − gate_t) ⊙ h_{t-1} + wave_t written_t` of every component: gate and written `[B, T, H, W]`, waves
 * `[B or 1, T or 1, R]`, before `[B, R, H, W]`. Returns all states `[B, T, R, H, W]`, and the last.
 */
function faded(
  gate: Tensor,
  written: Tensor,
  waves: Tensor,
  before: Tensor,
  gaps: Gaps | null,
): { readonly all: Tensor; readonly last: Tensor } {
  const [B, T, H, W] = gate.shape as [number, number, number, number]
  const R = waves.shape[2] as number
  const shape = [B, T, R * H * W]
  const a = reshape(mul(expandDims(sub(1, gate), 2), ones([1, 1, R, 1, 1])), shape)
  const b = reshape(mul(expandDims(written, 2), expandDims(expandDims(waves, 3), 4)), shape)
  const { h } = linearScan({ ...overGaps(a, b, gaps), h0: reshape(before, [B, R * H * W]) })
  return { all: reshape(h, [B, T, R, H, W]), last: reshape(tokenAt(h, T - 1), [B, R, H, W]) }
}
