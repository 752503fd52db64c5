import {
  type Activation,
  atTokens,
  constant,
  convolvedQkv,
  dims,
  emptyTails,
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
  type SequenceMixer,
  type ShortConv,
  shortConvOf,
  silu,
  tailBytes,
  timesOf,
} from '@mneme/core-tensor'
import { maximum, mul, reshape, type Tensor } from '@tensorflow/tfjs-core'
import { gatedReadout, headWidth, type MatrixMemoryOptions, type MatrixMemoryState, repeated } from './heads.js'

export interface GlaOptions extends MatrixMemoryOptions {
  /** Heads of keys, values and gates; each serves nHeads / nKvHeads query heads in a row. */
  readonly nKvHeads: number
  /** Width of all queries together, and of all values, over dModel. */
  readonly expandK: number
  readonly expandV: number
  /** Width between the two linear maps of the forget gate. */
  readonly gateRank: number
  /** The logarithm of the gate is divided by this: gates start near 1. */
  readonly gateTemperature: number
  /** Least log decay of a token; null for no bound. */
  readonly minLogDecay: number | null
  /** Width of short convolutions, with SiLU, on queries, keys and values; 0 for none. */
  readonly convWidth: number
  /** Applied to queries and keys; null for none. */
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
  private readonly dKey: number
  private readonly dValue: number

  constructor(
    private readonly options: GlaOptions,
    rng: Rng,
  ) {
    super()
    const { dModel: D, nHeads: H, nKvHeads: G, expandK, expandV, convWidth, projection = { bias: false } } = options
    timesOf('GLA nHeads', H, 'nKvHeads', G)
    this.dKey = headWidth('GLA expandK', D, expandK, H)
    this.dValue = headWidth('GLA expandV', D, expandV, H)
    const linear = (dIn: number, dOut: number): Linear => new Linear(dIn, dOut, rng, projection)
    const conv = (channels: number): ShortConv | null => shortConvOf(channels, convWidth, rng)
    this.qProj = linear(D, H * this.dKey)
    this.kProj = linear(D, G * this.dKey)
    this.vProj = linear(D, G * this.dValue)
    this.gProj = options.outputGate ? linear(D, H * this.dValue) : null
    this.gkProj = [
      linear(D, options.gateRank),
      new Linear(options.gateRank, G * this.dKey, rng, { ...projection, bias: true }),
    ]
    this.oProj = linear(H * this.dValue, D)
    this.qConv = conv(H * this.dKey)
    this.kConv = conv(G * this.dKey)
    this.vConv = conv(G * this.dValue)
    this.gNorm = new RMSNorm(this.dValue, options.normEps)
  }

  initialState(batch: number): GlaState {
    return {
      memory: constant([batch, this.options.nHeads, this.dKey, this.dValue], 0),
      ...emptyTails(this, batch),
    }
  }

  forward(x: Tensor, state?: GlaState, pass?: Pass): Mixed<GlaState> {
    const { dModel, nHeads: H, nKvHeads: G, gateTemperature, minLogDecay, featureMap, chunk } = this.options
    const { B, T } = dims('GLA.forward x', x, 'B T D', { D: dModel })
    const before = state ?? this.initialState(B)
    const gaps = gapsOf('GLA.forward', pass, B, T)
    const projected = { q: this.qProj.forward(x), k: this.kProj.forward(x), v: this.vProj.forward(x) }
    const { q, k, v, tails } = convolvedQkv(this, projected, before, pass)
    const active = (y: Tensor): Tensor => (this.qConv ? silu(y) : y)
    const mapped = (y: Tensor): Tensor => (featureMap ? featureMap(active(y)) : active(y))
    const heads = (y: Tensor, width: number): Tensor => repeated(reshape(y, [B, T, G, width]), H / G)
    const [narrow, wide] = this.gkProj
    let logDecay = mul(logSigmoid(wide.forward(narrow.forward(x))), 1 / gateTemperature)
    if (minLogDecay !== null) logDecay = maximum(logDecay, minLogDecay)
    logDecay = atTokens(logDecay, gaps)
    const { o, state: memory } = gatedLinearAttention(
      {
        q: reshape(mapped(q), [B, T, H, this.dKey]),
        k: heads(atTokens(mapped(k), gaps), this.dKey),
        v: heads(active(v), this.dValue),
        logDecay: heads(logDecay, this.dKey),
        ...(gaps && { resets: gaps.starts }),
        state: before.memory,
      },
      { chunk },
    )
    pass?.record?.record('logDecay', logDecay)
    pass?.record?.record('memory', memory)
    return {
      y: this.oProj.forward(gatedReadout(o, this.gNorm, this.gProj?.forward(x))),
      state: { memory, ...tails },
    }
  }

  stateBytes(): number {
    return 4 * this.options.nHeads * this.dKey * this.dValue + tailBytes(this.qConv, this.kConv, this.vConv)
  }
}
