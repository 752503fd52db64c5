import {
  atTokens,
  deltaRule,
  dims,
  gapsOf,
  Linear,
  logRateStart,
  type Mixed,
  type MixerTraits,
  Module,
  type Pass,
  parameter,
  RMSNorm,
  type Rng,
  rateLogDecay,
  repeatedHeads,
  type SequenceMixer,
  ShortConv,
  silu,
  timeStepBias,
  timesOf,
  unitLength,
} from '@mneme/core-tensor'
import { reshape, type Tensor, type Variable } from '@tensorflow/tfjs-core'
import {
  correction,
  emptyMemory,
  type MatrixMemoryOptions,
  type MatrixMemoryState,
  memoryBytes,
  projectedQkv,
  readOut,
} from './matrix-memory.js'

export interface GatedDeltaNetOptions extends MatrixMemoryOptions {
  /** Heads of values, gates and state; a multiple of nHeads, whose queries and keys they share in turn. */
  readonly nVHeads: number
  readonly dHead: number
  /** Value width of a head over its key width. */
  readonly expandV: number
  readonly convWidth: number
  /** Doubles beta, so that transitions may have negative eigenvalues. */
  readonly allowNegEigval: boolean
}

/** Its memory is of `nVHeads` heads. */
export type GatedDeltaNetState = MatrixMemoryState<Tensor>

/**
 * Gated delta rule: decay the memory, then correct what it stores under k.
 *
 *   S_t = α_t (I − β_t k_t k_tᵀ) S_{t-1} + β_t k_t v_tᵀ,   o_t = S_tᵀ q_t / √K
 *   α_t = exp(−e^A softplus(W_a x_t + δ)),   β_t = sigmoid(W_b x_t)
 *
 * q, k, v pass a short convolution and SiLU; q and k have length 1. The readout is normalised by head and gated. State S
 * `[B, H, K, V]` and three convolution tails, constant in T. Time O(T K V) a head, in chunks of matrix products.
 * Paper: Yang et al. 2024, arXiv:2412.06464, section 3.
 */
export class GatedDeltaNet extends Module implements SequenceMixer<GatedDeltaNetState> {
  readonly traits: MixerTraits = { causal: true, padding: true, constantState: true }
  readonly qProj: Linear
  readonly kProj: Linear
  readonly vProj: Linear
  readonly aProj: Linear
  readonly bProj: Linear
  readonly gProj: Linear | null
  readonly oProj: Linear
  readonly qConv: ShortConv
  readonly kConv: ShortConv
  readonly vConv: ShortConv
  /** ln of the decay rate of each head. */
  readonly logRate: Variable
  readonly rateBias: Variable
  readonly oNorm: RMSNorm
  /** H of values, K and V. */
  private readonly sizes: readonly [number, number, number]

  constructor(
    private readonly options: GatedDeltaNetOptions,
    rng: Rng,
  ) {
    super()
    const {
      dModel,
      nHeads,
      nVHeads,
      dHead,
      expandV,
      convWidth,
      outputGate,
      normEps,
      projection = { bias: false },
    } = options
    timesOf('GatedDeltaNet nVHeads', nVHeads, 'nHeads', nHeads)
    const dValue = Math.trunc(dHead * expandV)
    this.sizes = [nVHeads, dHead, dValue]
    const [keyWidth, valueWidth] = [nHeads * dHead, nVHeads * dValue]
    this.qProj = new Linear(dModel, keyWidth, rng, projection)
    this.kProj = new Linear(dModel, keyWidth, rng, projection)
    this.vProj = new Linear(dModel, valueWidth, rng, projection)
    this.aProj = new Linear(dModel, nVHeads, rng, projection)
    this.bProj = new Linear(dModel, nVHeads, rng, projection)
    this.gProj = outputGate ? new Linear(dModel, valueWidth, rng, projection) : null
    this.oProj = new Linear(valueWidth, dModel, rng, projection)
    this.qConv = new ShortConv(keyWidth, convWidth, rng)
    this.kConv = new ShortConv(keyWidth, convWidth, rng)
    this.vConv = new ShortConv(valueWidth, convWidth, rng)
    this.logRate = parameter(logRateStart(rng, [nVHeads]))
    this.rateBias = parameter(timeStepBias(rng, [nVHeads]))
    this.oNorm = new RMSNorm(dValue, normEps)
  }

  initialState(batch: number): GatedDeltaNetState {
    return emptyMemory(this, batch, this.sizes)
  }

  forward(x: Tensor, state?: GatedDeltaNetState, pass?: Pass): Mixed<GatedDeltaNetState> {
    const { dModel, nHeads, allowNegEigval, chunk } = this.options
    const { B, T } = dims('GatedDeltaNet.forward x', x, 'B T D', { D: dModel })
    const [H, K, V] = this.sizes
    const before = state ?? this.initialState(B)
    const gaps = gapsOf('GatedDeltaNet.forward', pass, B, T)
    const { q, k, v, tails } = projectedQkv(this, x, before, pass)
    const heads = (y: Tensor): Tensor => repeatedHeads(unitLength(reshape(silu(y), [B, T, nHeads, K])), H / nHeads)
    const beta = correction(this.bProj, x, { nHeads: H, allowNegEigval }, gaps)
    const logDecay = atTokens(rateLogDecay(this.aProj.forward(x), this.logRate, this.rateBias), gaps)
    pass?.record?.record('beta', beta)
    pass?.record?.record('logDecay', logDecay)
    const found = deltaRule(
      {
        q: heads(q),
        k: heads(k),
        v: reshape(silu(v), [B, T, H, V]),
        beta,
        logDecay,
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
