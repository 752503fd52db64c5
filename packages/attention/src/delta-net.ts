import {
  type Activation,
  deltaRule,
  dims,
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
  unitLength,
} from '@mneme/core-tensor'
import { div, reshape, sum, type Tensor } from '@tensorflow/tfjs-core'
import {
  correction,
  type ExpandedMemoryOptions,
  emptyMemory,
  headWidth,
  type MatrixMemoryState,
  memoryBytes,
  projectedQkv,
  readOut,
} from './matrix-memory.js'

export interface DeltaNetOptions extends ExpandedMemoryOptions {
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
  /** H, K and V. */
  private readonly sizes: readonly [number, number, number]

  constructor(
    private readonly options: DeltaNetOptions,
    rng: Rng,
  ) {
    super()
    const { dModel: D, nHeads: H, convWidth, projection = { bias: false } } = options
    const K = headWidth('DeltaNet expandK', D, options.expandK, H)
    const V = headWidth('DeltaNet expandV', D, options.expandV, H)
    this.sizes = [H, K, V]
    const linear = (dIn: number, dOut: number): Linear => new Linear(dIn, dOut, rng, projection)
    const conv = (channels: number): ShortConv | null => shortConvOf(channels, convWidth, rng)
    this.qProj = linear(D, H * K)
    this.kProj = linear(D, H * K)
    this.vProj = linear(D, H * V)
    this.bProj = options.learnedBeta ? linear(D, H) : null
    this.gProj = options.outputGate ? linear(D, H * V) : null
    this.oProj = linear(H * V, D)
    this.qConv = conv(H * K)
    this.kConv = conv(H * K)
    this.vConv = conv(H * V)
    this.oNorm = new RMSNorm(V, options.normEps)
  }

  initialState(batch: number): DeltaNetState {
    return emptyMemory(this, batch, this.sizes)
  }

  forward(x: Tensor, state?: DeltaNetState, pass?: Pass): Mixed<DeltaNetState> {
    const { dModel, qkActivation, qkNorm, chunk } = this.options
    const { B, T } = dims('DeltaNet.forward x', x, 'B T D', { D: dModel })
    const [H, K, V] = this.sizes
    const before = state ?? this.initialState(B)
    const gaps = gapsOf('DeltaNet.forward', pass, B, T)
    const { q, k, v, tails } = projectedQkv(this, x, before, pass)
    const heads = (y: Tensor): Tensor => {
      const active = reshape(qkActivation(y), [B, T, H, K])
      return qkNorm === 'length' ? unitLength(active) : div(active, sum(active, -1, true))
    }
    const beta = correction(this.bProj, x, this.options, gaps)
    pass?.record?.record('beta', beta)
    const found = deltaRule(
      {
        q: heads(q),
        k: heads(k),
        v: reshape(silu(v), [B, T, H, V]),
        beta,
        ...(gaps && { resets: gaps.starts }),
        state: before.memory,
      },
      { chunk },
    )
    return readOut(this, this.oNorm, x, found, tails, pass)
  }

  stateBytes(): number {
    return memoryBytes(this, this.sizes)
  }
}
