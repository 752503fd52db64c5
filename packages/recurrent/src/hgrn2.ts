import {
  atTokens,
  constant,
  convolved,
  dims,
  equalParts,
  gapsOf,
  gatedLinearAttention,
  Linear,
  type LinearOptions,
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
} from '@mneme/core-tensor'
import { expm1, neg, reshape, type Tensor } from '@tensorflow/tfjs-core'
import { boundedLogForget, type LowerBound } from './lower-bound.js'

export interface Hgrn2Options {
  readonly dModel: number
  /** Width of a head's keys, and with it the state over the model's width; divides dModel. */
  readonly expansion: number
  /** Null for gates that may shut. */
  readonly bound: LowerBound | null
  /** Width of short convolutions on queries, gates and values; 0 for none. */
  readonly convWidth: number
  readonly normEps: number
  /** Tokens a block of matrix products; changes cost, not results. */
  readonly chunk: number
  readonly projection?: LinearOptions
}

export type Hgrn2State = {
  readonly memory: Tensor
  /** Last inputs of the convolutions; null without them. */
  readonly qTail: Tensor | null
  readonly fTail: Tensor | null
  readonly iTail: Tensor | null
}

/**
 * HGRN with a matrix for a state: what the forget gate leaves free is the key under which the input is stored.
 *
 *   f_t = b + (1 − b) σ(W_f x_t),   S_t = diag(f_t) S_{t-1} + (1 − f_t) v_tᵀ,   o_t = S_tᵀ silu(W_q x_t) / √K,   v = W_i x
 *   y_t = W_o RMSNorm(o_t)
 *
 * b the lower bound of the layer `[D]`; the norm runs over all heads together. State S `[B, H, K, D/H]` with H = D/K, so
 * K numbers for each of the D channels, constant in T. Time O(T D (D + K)).
 * Paper: Qin et al. 2024, arXiv:2404.07904, section 3.
 * Differs: scale, activations and norm are those of the form that flash-linear-attention publishes.
 */
export class HGRN2 extends Module implements SequenceMixer<Hgrn2State> {
  readonly traits: MixerTraits = { causal: true, padding: true, constantState: true }
  readonly qProj: Linear
  readonly fProj: Linear
  readonly iProj: Linear
  readonly qConv: ShortConv | null
  readonly fConv: ShortConv | null
  readonly iConv: ShortConv | null
  readonly gNorm: RMSNorm
  readonly oProj: Linear
  readonly bound: LowerBound | null
  private readonly heads: number

  constructor(
    private readonly options: Hgrn2Options,
    rng: Rng,
  ) {
    super()
    const { dModel: D, expansion, bound, convWidth, normEps, projection: linear = { bias: false } } = options
    this.heads = equalParts('HGRN2 expansion', expansion, 'dModel', D)
    const projection = (): Linear => new Linear(D, D, rng, linear)
    this.qProj = projection()
    this.fProj = projection()
    this.iProj = projection()
    this.qConv = shortConvOf(D, convWidth, rng)
    this.fConv = shortConvOf(D, convWidth, rng)
    this.iConv = shortConvOf(D, convWidth, rng)
    this.gNorm = new RMSNorm(D, normEps)
    this.oProj = projection()
    this.bound = bound
  }

  initialState(batch: number): Hgrn2State {
    const { expansion } = this.options
    return {
      // the heads' values are as wide as their number of channels: D / H = K
      memory: constant([batch, this.heads, expansion, expansion], 0),
      qTail: this.qConv?.initialState(batch) ?? null,
      fTail: this.fConv?.initialState(batch) ?? null,
      iTail: this.iConv?.initialState(batch) ?? null,
    }
  }

  forward(x: Tensor, state?: Hgrn2State, pass?: Pass): Mixed<Hgrn2State> {
    const { dModel: D, expansion: K, chunk } = this.options
    const { B, T } = dims('HGRN2.forward x', x, 'B T D', { D })
    const before = state ?? this.initialState(B)
    const gaps = gapsOf('HGRN2.forward', pass, B, T)
    const q = convolved(this.qConv, this.qProj.forward(x), before.qTail, pass)
    const f = convolved(this.fConv, this.fProj.forward(x), before.fTail, pass)
    const i = convolved(this.iConv, this.iProj.forward(x), before.iTail, pass)
    const forget = boundedLogForget(f.y, this.bound)
    const logDecay = atTokens(forget, gaps)
    const heads = (y: Tensor): Tensor => reshape(y, [B, T, this.heads, K])
    const { o, state: memory } = gatedLinearAttention(
      {
        q: heads(silu(q.y)),
        // where nothing is forgotten nothing is stored, as at padding
        k: heads(neg(expm1(logDecay))),
        v: heads(i.y),
        logDecay: heads(logDecay),
        ...(gaps && { resets: gaps.starts }),
        state: before.memory,
      },
      { chunk },
    )
    pass?.record?.record('logDecay', logDecay)
    pass?.record?.record('memory', memory)
    return {
      y: this.oProj.forward(this.gNorm.forward(reshape(o, [B, T, D]))),
      state: { memory, qTail: q.tail, fTail: f.tail, iTail: i.tail },
    }
  }

  stateBytes(): number {
    const { dModel, expansion } = this.options
    return 4 * dModel * expansion + tailBytes(this.qConv, this.fConv, this.iConv)
  }
}
