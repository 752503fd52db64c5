import {
  type Activation,
  atTokens,
  constant,
  convolvedQkv,
  deltaRule,
  dims,
  emptyTails,
  gapsOf,
  Linear,
  type Mixed,
  type MixerTraits,
  Module,
  type Pass,
  RMSNorm,
  type Rng,
  type SequenceMixer,
  type ShortConv,
  shortConvOf,
  silu,
  tailBytes,
  unitLength,
} from '@mneme/core-tensor'
import { div, mul, ones, reshape, sigmoid, sum, type Tensor } from '@tensorflow/tfjs-core'
import { gatedReadout, headWidth, type MatrixMemoryOptions, type MatrixMemoryState } from './heads.js'

export interface DeltaNetOptions extends MatrixMemoryOptions {
  /** Width of all keys together, and of all values, over dModel. */
  readonly expandK: number
  readonly expandV: number
  /** Width of short convolutions on queries, keys and values; 0 for none. */
  readonly convWidth: number
  /** Of queries and keys, after the convolution; values have SiLU. */
  readonly qkActivation: Activation
  /** Queries and keys of length 1, or of sum 1, which asks for an activation that leaves nothing negative. */
  readonly qkNorm: 'length' | 'sum'
  /** Whether tokens set how much of the error is corrected; all of it if not. */
  readonly learnedBeta: boolean
  /** Doubles beta, so that transitions may have negative eigenvalues. */
  readonly allowNegEigval: boolean
}

export type DeltaNetState = MatrixMemoryState

/**
 * The delta rule: a matrix memory that corrects what it stores under a key.
 *
 *   S_t = S_{t-1} + β_t k_t (v_t − S_{t-1}ᵀ k_t)ᵀ = (I − β_t k_t k_tᵀ) S_{t-1} + β_t k_t v_tᵀ,   o_t = S_tᵀ q_t / √K
 *
 * β_t = sigmoid(W_b x_t) `[H]`, or twice that. q, k, v pass a short convolution and an activation; q and k have length 1.
 * The readout is normalised by head. State S `[B, H, K, V]` and three convolution tails, constant in T. Time O(T K V) a
 * head, in chunks of matrix products.
 * Paper: Yang et al. 2024, arXiv:2406.06484, sections 2 and 3.
 */
export class DeltaNet extends Module implements SequenceMixer<DeltaNetState> {
  readonly traits: MixerTraits = { causal: true, padding: true, constantState: true }
  readonly qProj: Linear
  readonly kProj: Linear
  readonly vProj: Linear
  readonly bProj: Linear | null
  readonly gProj: Linear | null
  readonly oProj: Linear
  readonly qConv: ShortConv | null
  readonly kConv: ShortConv | null
  readonly vConv: ShortConv | null
  readonly oNorm: RMSNorm
  private readonly dKey: number
  private readonly dValue: number

  constructor(
    private readonly options: DeltaNetOptions,
    rng: Rng,
  ) {
    super()
    const { dModel: D, nHeads: H, convWidth, projection = { bias: false } } = options
    this.dKey = headWidth('DeltaNet expandK', D, options.expandK, H)
    this.dValue = headWidth('DeltaNet expandV', D, options.expandV, H)
    const linear = (dIn: number, dOut: number): Linear => new Linear(dIn, dOut, rng, projection)
    const conv = (channels: number): ShortConv | null => shortConvOf(channels, convWidth, rng)
    this.qProj = linear(D, H * this.dKey)
    this.kProj = linear(D, H * this.dKey)
    this.vProj = linear(D, H * this.dValue)
    this.bProj = options.learnedBeta ? linear(D, H) : null
    this.gProj = options.outputGate ? linear(D, H * this.dValue) : null
    this.oProj = linear(H * this.dValue, D)
    this.qConv = conv(H * this.dKey)
    this.kConv = conv(H * this.dKey)
    this.vConv = conv(H * this.dValue)
    this.oNorm = new RMSNorm(this.dValue, options.normEps)
  }

  initialState(batch: number): DeltaNetState {
    return {
      memory: constant([batch, this.options.nHeads, this.dKey, this.dValue], 0),
      ...emptyTails(this, batch),
    }
  }

  forward(x: Tensor, state?: DeltaNetState, pass?: Pass): Mixed<DeltaNetState> {
    const { dModel, nHeads: H, qkActivation, qkNorm, allowNegEigval, chunk } = this.options
    const { B, T } = dims('DeltaNet.forward x', x, 'B T D', { D: dModel })
    const before = state ?? this.initialState(B)
    const gaps = gapsOf('DeltaNet.forward', pass, B, T)
    const projected = { q: this.qProj.forward(x), k: this.kProj.forward(x), v: this.vProj.forward(x) }
    const { q, k, v, tails } = convolvedQkv(this, projected, before, pass)
    const heads = (y: Tensor): Tensor => {
      const active = reshape(qkActivation(y), [B, T, H, this.dKey])
      return qkNorm === 'length' ? unitLength(active) : div(active, sum(active, -1, true))
    }
    let beta: Tensor = this.bProj ? sigmoid(this.bProj.forward(x)) : ones([B, T, H])
    if (allowNegEigval) beta = mul(beta, 2)
    beta = atTokens(beta, gaps)
    const { o, state: memory } = deltaRule(
      {
        q: heads(q),
        k: heads(k),
        v: reshape(silu(v), [B, T, H, this.dValue]),
        beta,
        ...(gaps && { resets: gaps.starts }),
        state: before.memory,
      },
      { chunk },
    )
    pass?.record?.record('beta', beta)
    pass?.record?.record('memory', memory)
    return {
      y: this.oProj.forward(gatedReadout(o, this.oNorm, this.gProj?.forward(x))),
      state: { memory, ...tails },
    }
  }

  stateBytes(): number {
    return 4 * this.options.nHeads * this.dKey * this.dValue + tailBytes(this.qConv, this.kConv, this.vConv)
  }
}
