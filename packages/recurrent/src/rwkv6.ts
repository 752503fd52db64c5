import {
  constant,
  dims,
  draw,
  equalParts,
  GroupNorm,
  gapsOf,
  Linear,
  type LinearOptions,
  type Mixed,
  type MixerTraits,
  Module,
  type Pass,
  parameter,
  previousTokens,
  type Rng,
  type SequenceMixer,
  silu,
  startBias,
  uniform,
} from '@mneme/core-tensor'
import {
  add,
  exp,
  expandDims,
  matMul,
  mul,
  neg,
  reshape,
  sub,
  type Tensor,
  tanh,
  transpose,
  unstack,
  type Variable,
} from '@tensorflow/tfjs-core'
import { LowRank } from './low-rank.js'
import { bonusStart, decayStart, type RwkvMatrixState, readRwkv } from './rwkv-memory.js'
import { mixShift, mixStart, type RwkvDepth, shareOfDepth } from './rwkv-shift.js'

export interface Rwkv6Options extends RwkvDepth {
  readonly dModel: number
  readonly nHeads: number
  /** Width of receptance and keys, all heads together, over dModel. */
  readonly expandK: number
  /** Rank of what decides the blends with the token before, and of what decides the decay. */
  readonly shiftRank: number
  readonly decayRank: number
  readonly normEps: number
  /** Tokens a block of matrix products; changes cost, not results. */
  readonly chunk: number
  readonly projection?: LinearOptions
}

/** r, w, k, v, g: what a blend of its own is made for. */
const BLENDS = 5

/**
 * Time mixing of RWKV-6 (Finch): RWKV-5 whose blends with the token before, and whose decay, depend on the token.
 *
 *   o_t = S_{t-1}ᵀ r_t + (r_t · (u ⊙ k_t)) v_t,   S_t = diag(w_t) S_{t-1} + k_t v_tᵀ
 *   w_t = exp(−exp(b + W' tanh(W x^w_t))),   x^j_t = x_t + (x_{t-1} − x_t) ⊙ (m_j + U_j tanh(V_j (a blend of the two)))
 *
 * State: the last input `[B, D]` and S `[B, H, K, V]`, constant in T. Time O(T D (D + K)).
 * Paper: Peng et al. 2024, arXiv:2404.05892, section 4.3 (Finch).
 */
export class Rwkv6TimeMix extends Module implements SequenceMixer<RwkvMatrixState> {
  readonly traits: MixerTraits = { causal: true, padding: true, constantState: true }
  /** Share of the token before in what the blends are decided from. */
  readonly shiftMix: Variable
  readonly shiftDown: Linear
  /** `[D, 5 R]`, a block of R columns for each blend. */
  readonly shiftUp: Variable
  /** `[5, D]` */
  readonly shiftBias: Variable
  readonly rProj: Linear
  readonly kProj: Linear
  readonly vProj: Linear
  readonly gProj: Linear
  readonly decay: LowRank
  readonly bonus: Variable
  readonly gNorm: GroupNorm
  readonly oProj: Linear
  private readonly dKeys: number

  constructor(
    private readonly options: Rwkv6Options,
    rng: Rng,
  ) {
    super()
    const { dModel: D, nHeads: H, expandK, shiftRank, decayRank, normEps, projection = { bias: false } } = options
    const dKeys = Math.trunc(D * expandK)
    equalParts('Rwkv6TimeMix nHeads', H, 'dModel', D)
    const K = equalParts('Rwkv6TimeMix nHeads', H, 'the width of keys', dKeys)
    this.dKeys = dKeys
    const { rising, falling } = shareOfDepth(options)
    this.shiftMix = mixStart(D, falling, 'previous')
    this.shiftDown = new Linear(D, BLENDS * shiftRank, rng, projection)
    this.shiftUp = parameter(uniform(rng, [D, BLENDS * shiftRank], -0.01, 0.01))
    this.shiftBias = parameter(draw([BLENDS, D], (i) => 1 - ((i % D) / D) ** falling))
    this.rProj = new Linear(D, dKeys, rng, projection)
    this.kProj = new Linear(D, dKeys, rng, projection)
    this.vProj = new Linear(D, D, rng, projection)
    this.gProj = new Linear(D, D, rng, projection)
    this.decay = new LowRank(D, dKeys, rng, { rank: decayRank, activation: tanh, bias: true, projection })
    startBias(this.decay.up, decayStart(dKeys, rising))
    this.bonus = parameter(draw([H, K], bonusStart(dKeys, rising)))
    this.gNorm = new GroupNorm(H, D, normEps)
    this.oProj = new Linear(D, D, rng, projection)
  }

  initialState(batch: number): RwkvMatrixState {
    const { dModel: D, nHeads: H } = this.options
    return { last: constant([batch, D], 0), memory: constant([batch, H, this.dKeys / H, D / H], 0) }
  }

  forward(x: Tensor, state?: RwkvMatrixState, pass?: Pass): Mixed<RwkvMatrixState> {
    const { dModel: D, nHeads: H, chunk } = this.options
    const { B, T } = dims('Rwkv6TimeMix.forward x', x, 'B T D', { D })
    const past = state ?? this.initialState(B)
    const gaps = gapsOf('Rwkv6TimeMix.forward', pass, B, T)
    const { previous: before, last } = previousTokens(x, past.last, gaps)
    const [xr, xw, xk, xv, xg] = this.blends(x, before) as [Tensor, Tensor, Tensor, Tensor, Tensor]
    const logDecay = reshape(neg(exp(this.decay.forward(xw))), [B, T, H, this.dKeys / H])
    const { o, memory } = readRwkv(
      {
        r: this.rProj.forward(xr),
        k: this.kProj.forward(xk),
        v: this.vProj.forward(xv),
        logDecay,
        bonus: this.bonus,
      },
      past.memory,
      gaps,
      chunk,
    )
    pass?.record?.record('logDecay', logDecay)
    pass?.record?.record('memory', memory)
    const gate = silu(this.gProj.forward(xg))
    return { y: this.oProj.forward(mul(this.gNorm.forward(o), gate)), state: { last, memory } }
  }

  /** x blended with the token before it, in one way for each of r, w, k, v, g: `[B, T, D]` each. */
  private blends(x: Tensor, before: Tensor): Tensor[] {
    const [B, T, D] = x.shape as [number, number, number]
    const R = this.options.shiftRank
    const decided = tanh(this.shiftDown.forward(mixShift(x, before, this.shiftMix, 'previous')))
    const low = transpose(reshape(decided, [B * T, BLENDS, R]), [1, 0, 2])
    const up = transpose(reshape(this.shiftUp, [D, BLENDS, R]), [1, 2, 0])
    const mixes = add(matMul(low, up), expandDims(this.shiftBias, 1)) // [5, B T, D]
    const difference = reshape(sub(before, x), [1, B * T, D])
    return unstack(reshape(add(reshape(x, [1, B * T, D]), mul(difference, mixes)), [BLENDS, B, T, D]), 0)
  }

  stateBytes(): number {
    const { dModel: D, nHeads: H } = this.options
    return 4 * (D + (this.dKeys * D) / H)
  }
}
