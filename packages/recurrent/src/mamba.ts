import {
  atTokens,
  constant,
  dims,
  draw,
  gapsOf,
  Linear,
  type LinearOptions,
  type Mixed,
  type MixerTraits,
  Module,
  type Pass,
  parameter,
  type Rng,
  type SequenceMixer,
  ShortConv,
  selectiveScan,
  silu,
  tailBytes,
  timeStepBias,
} from '@mneme/core-tensor'
import { exp, neg, softplus, split, type Tensor, type Variable } from '@tensorflow/tfjs-core'

export interface MambaOptions {
  readonly dModel: number
  /** E, channels of the recurrence. */
  readonly dInner: number
  /** N, states of a channel. */
  readonly dState: number
  /** R, rank of the map from a channel to its time step. */
  readonly dtRank: number
  readonly convWidth: number
  readonly convBias: boolean
  /** Of the maps in and out; no bias if absent. */
  readonly projection?: LinearOptions
}

export type MambaState = {
  /** `[B, E, N]` */
  readonly h: Tensor
  readonly tail: Tensor
}

/** softplus of it is 0: a token of this step is stepped over. */
const NO_STEP = -1e9

/**
 * Selective state space: a diagonal linear recurrence whose step, input and output matrices depend on the token.
 *
 *   [x_t, z_t] = W_in u_t,   x_t ← silu(conv(x)_t),   [r_t, B_t, C_t] = W_x x_t,   Δ_t = softplus(W_Δ r_t + b_Δ)
 *   h_t = exp(Δ_t A) h_{t-1} + Δ_t x_t B_tᵀ,   y_t = W_out((h_t C_t + D x_t) ⊙ silu(z_t)),   A = −e^{logA}
 *
 * x, z, Δ `[B, T, E]`; B, C `[B, T, N]`; A `[E, N]`, below 0; D `[E]`. State h `[B, E, N]` and a convolution tail
 * `[B, W − 1, E]`, constant in T. Time O(T E (D + N + R)).
 * Paper: Gu and Dao 2023, arXiv:2312.00752, sections 3.2 to 3.4.
 * Differs: B is discretised by Euler's rule, as in the authors' code; the paper writes zero-order hold. Theorem 1 (N = 1,
 * A = −1, B = 1: h_t = (1 − g_t) h_{t-1} + g_t x_t, g = σ(W_Δ r + b_Δ)) then holds with −ln(1 − g_t), which is Δ_t, for
 * the weight of x_t.
 */
export class Mamba extends Module implements SequenceMixer<MambaState> {
  readonly traits: MixerTraits = { causal: true, padding: true, constantState: true }
  /** Its output is x, then z. */
  readonly inProj: Linear
  readonly conv: ShortConv
  /** Its output is the low-rank step, B, C. */
  readonly xProj: Linear
  readonly dtProj: Linear
  /** A_log of the published checkpoints. */
  readonly logA: Variable
  /** D of the paper. */
  readonly skip: Variable
  readonly outProj: Linear

  constructor(
    private readonly options: MambaOptions,
    rng: Rng,
  ) {
    super()
    const { dModel, dInner: E, dState: N, dtRank: R, convWidth, convBias, projection = { bias: false } } = options
    this.inProj = new Linear(dModel, 2 * E, rng, projection)
    this.conv = new ShortConv(E, convWidth, rng, { bias: convBias })
    this.xProj = new Linear(E, R + 2 * N, rng, { ...projection, bias: false })
    this.dtProj = new Linear(R, E, rng, { biasInit: timeStepBias })
    this.logA = parameter(draw([E, N], (place) => Math.log(1 + (place % N))))
    this.skip = parameter(constant([E], 1))
    this.outProj = new Linear(E, dModel, rng, projection)
  }

  initialState(batch: number): MambaState {
    const { dInner, dState } = this.options
    return { h: constant([batch, dInner, dState], 0), tail: this.conv.initialState(batch) }
  }

  forward(x: Tensor, state?: MambaState, pass?: Pass): Mixed<MambaState> {
    const { dModel, dState: N, dtRank: R } = this.options
    const { B, T } = dims('Mamba.forward x', x, 'B T D', { D: dModel })
    const before = state ?? this.initialState(B)
    const gaps = gapsOf('Mamba.forward', pass, B, T)
    const [inner, z] = split(this.inProj.forward(x), 2, 2) as [Tensor, Tensor]
    const { y: convolved, tail } = this.conv.forward(inner, before.tail, pass)
    const u = silu(convolved)
    const [r, Bt, C] = split(this.xProj.forward(u), [R, N, N], 2) as [Tensor, Tensor, Tensor]
    const delta = atTokens(this.dtProj.forward(r), gaps, NO_STEP)
    const { y, state: h } = selectiveScan({
      u,
      delta,
      A: neg(exp(this.logA)),
      Bt,
      C,
      skip: this.skip,
      z,
      ...(gaps && { resets: gaps.starts }),
      state: before.h,
    })
    pass?.record?.record('step', softplus(delta))
    pass?.record?.record('state', h)
    return { y: this.outProj.forward(y), state: { h, tail } }
  }

  stateBytes(): number {
    const { dInner, dState } = this.options
    return 4 * dInner * dState + tailBytes(this.conv)
  }
}
