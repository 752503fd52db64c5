import {
  type Activation,
  atTokens,
  dims,
  gapsOf,
  gatedLinearAttention,
  Linear,
  logSigmoid,
  type Mixed,
  type MixerTraits,
  Module,
  type Pass,
  RMSNorm,
  type Rng,
  repeatedHeads,
  type SequenceMixer,
  type ShortConv,
  shortConvOf,
  silu,
  timesOf,
} from '@mneme/core-tensor'
import { maximum, mul, reshape, type Tensor } from '@tensorflow/tfjs-core'
import {
  type ExpandedMemoryOptions,
  emptyMemory,
  headWidth,
  type MatrixMemoryState,
  memoryBytes,
  projectedQkv,
  readOut,
} from './matrix-memory.js'

export interface GlaOptions extends ExpandedMemoryOptions {
  /** Heads of keys, values and gates; each serves nHeads / nKvHeads query heads in a row. */
  readonly nKvHeads: number
  /** Width between the two linear maps of the forget gate. */
  readonly gateRank: number
  /** The logarithm of the gate is divided by this: gates start near 1. */
  readonly gateTemperature: number
  /** Least log decay of a token; null for no bound. */
  readonly minLogDecay: number | null
  /** Applied to queries and keys, behind the SiLU of their convolutions; null for none. */
  readonly featureMap: Activation | null
}

export type GlaState = MatrixMemoryState

/**
 * Gated linear attention: a matrix state whose rows fade by a gate that the token sets, one a key channel.
 *
 *   S_t = diag(α_t) S_{t-1} + k_t v_tᵀ,   o_t = S_tᵀ q_t / √K
 *   ln α_t = ln sigmoid(W_2 W_1 x_t + b) / τ
 *
 * α `[H, K]` in (0, 1), W_1 `[R, D]` with R = gateRank, τ = gateTemperature. The readout is normalised by head and gated
 * by silu(W_g x). State S `[B, H, K, V]`, constant in T. Time O(T K V) a head, in chunks of matrix products.
 * Paper: Yang et al. 2023, arXiv:2312.06635, section 4.
 */
export class GLA extends Module implements SequenceMixer<GlaState> {
  readonly traits: MixerTraits = { causal: true, padding: true, constantState: true }
  readonly qProj: Linear
  readonly kProj: Linear
  readonly vProj: Linear
  readonly gProj: Linear | null
  /** The forget gate, by way of a narrow layer. */
  readonly gkProj: readonly [Linear, Linear]
  readonly oProj: Linear
  readonly qConv: ShortConv | null
  readonly kConv: ShortConv | null
  readonly vConv: ShortConv | null
  readonly gNorm: RMSNorm
  /** H, K and V. */
  private readonly sizes: readonly [number, number, number]

  constructor(
    private readonly options: GlaOptions,
    rng: Rng,
  ) {
    super()
    const { dModel: D, nHeads: H, nKvHeads: G, expandK, expandV, convWidth, projection = { bias: false } } = options
    timesOf('GLA nHeads', H, 'nKvHeads', G)
    const K = headWidth('GLA expandK', D, expandK, H)
    const V = headWidth('GLA expandV', D, expandV, H)
    this.sizes = [H, K, V]
    const linear = (dIn: number, dOut: number): Linear => new Linear(dIn, dOut, rng, projection)
    const conv = (channels: number): ShortConv | null => shortConvOf(channels, convWidth, rng)
    this.qProj = linear(D, H * K)
    this.kProj = linear(D, G * K)
    this.vProj = linear(D, G * V)
    this.gProj = options.outputGate ? linear(D, H * V) : null
    this.gkProj = [linear(D, options.gateRank), new Linear(options.gateRank, G * K, rng, { ...projection, bias: true })]
    this.oProj = linear(H * V, D)
    this.qConv = conv(H * K)
    this.kConv = conv(G * K)
    this.vConv = conv(G * V)
    this.gNorm = new RMSNorm(V, options.normEps)
  }

  initialState(batch: number): GlaState {
    return emptyMemory(this, batch, this.sizes)
  }

  forward(x: Tensor, state?: GlaState, pass?: Pass): Mixed<GlaState> {
    const { dModel, nKvHeads: G, gateTemperature, minLogDecay, featureMap, chunk } = this.options
    const { B, T } = dims('GLA.forward x', x, 'B T D', { D: dModel })
    const [H, K, V] = this.sizes
    const before = state ?? this.initialState(B)
    const gaps = gapsOf('GLA.forward', pass, B, T)
    const { q, k, v, tails } = projectedQkv(this, x, before, pass)
    const active = (y: Tensor): Tensor => (this.qConv ? silu(y) : y)
    const mapped = (y: Tensor): Tensor => (featureMap ? featureMap(active(y)) : active(y))
    const heads = (y: Tensor, width: number): Tensor => repeatedHeads(reshape(y, [B, T, G, width]), H / G)
    const [narrow, wide] = this.gkProj
    let logDecay = mul(logSigmoid(wide.forward(narrow.forward(x))), 1 / gateTemperature)
    if (minLogDecay !== null) logDecay = maximum(logDecay, minLogDecay)
    logDecay = atTokens(logDecay, gaps)
    pass?.record?.record('logDecay', logDecay)
    const found = gatedLinearAttention(
      {
        q: reshape(mapped(q), [B, T, H, K]),
        k: heads(atTokens(mapped(k), gaps), K),
        v: heads(active(v), V),
        logDecay: heads(logDecay, K),
        ...(gaps && { resets: gaps.starts }),
        state: before.memory,
      },
      { chunk },
    )
    return readOut(this, this.gNorm, x, found, tails, pass)
  }

  stateBytes(): number {
    return memoryBytes(this, this.sizes)
  }
}
