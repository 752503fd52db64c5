import {
  constant,
  convolved,
  dims,
  gapsOf,
  LayerNorm,
  Linear,
  type LinearOptions,
  linearScan,
  type Mixed,
  type MixerTraits,
  Module,
  overGaps,
  type Pass,
  parameter,
  RMSNorm,
  type Rng,
  type SequenceMixer,
  type ShortConv,
  shortConvOf,
  silu,
  tailBytes,
  tokenAt,
} from '@mneme/core-tensor'
import { concat, mul, reshape, type Tensor, tensor1d, type Variable } from '@tensorflow/tfjs-core'
import { type ComplexState, complexParts, complexState, diagonalStates, polar, scaled } from './diagonal-ssm.js'
import { boundedGates, type LowerBound } from './lower-bound.js'

export interface HgrnOptions {
  readonly dModel: number
  /** Null for gates that may shut. */
  readonly bound: LowerBound | null
  /** Width of a short convolution on candidate and forget gate; 0 for none. */
  readonly convWidth: number
  readonly normEps: number
  readonly projection?: LinearOptions
}

export type HgrnState = {
  readonly h: Tensor
  /** Last inputs of the convolutions of candidate and gate; null without them. */
  readonly iTail: Tensor | null
  readonly fTail: Tensor | null
}

/**
 * Hierarchically gated recurrence, in real numbers: the forget gate never falls below a bound of its layer.
 *
 *   f_t = b + (1 − b) σ(W_f x_t),   h_t = f_t ⊙ h_{t-1} + (1 − f_t) ⊙ silu(W_i x_t)
 *   y_t = W_o(RMSNorm(h_t) ⊙ silu(W_g x_t))
 *
 * b the lower bound `[D]`. State h `[B, D]` (and two convolution tails), constant in T. Time O(T D²), decoding O(D²).
 * Paper: Qin et al. 2023, arXiv:2311.04823, section 3.
 * Differs: real states and no biases, as in the form that flash-linear-attention publishes; `ComplexHGRN` is the paper's.
 */
export class HGRN extends Module implements SequenceMixer<HgrnState> {
  readonly traits: MixerTraits = { causal: true, padding: true, constantState: true }
  readonly iProj: Linear
  readonly fProj: Linear
  readonly gProj: Linear
  readonly iConv: ShortConv | null
  readonly fConv: ShortConv | null
  readonly gNorm: RMSNorm
  readonly oProj: Linear
  readonly bound: LowerBound | null

  constructor(
    private readonly options: HgrnOptions,
    rng: Rng,
  ) {
    super()
    const { dModel: D, convWidth, normEps, bound, projection: linear = { bias: false } } = options
    const projection = (): Linear => new Linear(D, D, rng, linear)
    this.iProj = projection()
    this.fProj = projection()
    this.gProj = projection()
    this.iConv = shortConvOf(D, convWidth, rng)
    this.fConv = shortConvOf(D, convWidth, rng)
    this.gNorm = new RMSNorm(D, normEps)
    this.oProj = projection()
    this.bound = bound
  }

  initialState(batch: number): HgrnState {
    return {
      h: constant([batch, this.options.dModel], 0),
      iTail: this.iConv?.initialState(batch) ?? null,
      fTail: this.fConv?.initialState(batch) ?? null,
    }
  }

  forward(x: Tensor, state?: HgrnState, pass?: Pass): Mixed<HgrnState> {
    const { B, T } = dims('HGRN.forward x', x, 'B T D', { D: this.options.dModel })
    const before = state ?? this.initialState(B)
    const gaps = gapsOf('HGRN.forward', pass, B, T)
    const i = convolved(this.iConv, this.iProj.forward(x), before.iTail, pass)
    const f = convolved(this.fConv, this.fProj.forward(x), before.fTail, pass)
    const { forget, input } = boundedGates(f.y, this.bound)
    const h = linearScan({ ...overGaps(forget, mul(input, silu(i.y)), gaps), h0: before.h }).h
    pass?.record?.record('decay', forget)
    pass?.record?.record('state', h)
    return {
      y: this.oProj.forward(mul(this.gNorm.forward(h), silu(this.gProj.forward(x)))),
      state: { h: tokenAt(h, T - 1), iTail: i.tail, fTail: f.tail },
    }
  }

  stateBytes(): number {
    return 4 * this.options.dModel + tailBytes(this.iConv, this.fConv)
  }
}

export type ComplexHgrnOptions = Omit<HgrnOptions, 'convWidth' | 'projection'>

/**
 * Hierarchically gated recurrence over complex numbers, each channel turned by a learned angle that no token changes.
 *
 *   h_t = λ_t e^{iθ} ⊙ h_{t-1} + (1 − λ_t) ⊙ c_t,   λ_t = b + (1 − b) σ(W_λ x_t + b_λ),   c_t = silu(W_c x_t + b_c)
 *   y_t = W_o(LayerNorm([Re h_t, Im h_t]) ⊙ silu(W_g x_t + b_g)) + b_o
 *
 * State h as two tensors `[B, D]`, constant in T. Time O(T D²), decoding O(D²).
 * Paper: Qin et al. 2023, arXiv:2311.04823, section 3.
 */
export class ComplexHGRN extends Module implements SequenceMixer<ComplexState> {
  readonly traits: MixerTraits = { causal: true, padding: true, constantState: true }
  readonly inputProj: Linear
  readonly lambdaProj: Linear
  readonly gate: Linear
  readonly outProj: Linear
  readonly norm: LayerNorm
  /** Angle of each channel. */
  readonly theta: Variable
  readonly bound: LowerBound | null

  constructor(
    private readonly options: ComplexHgrnOptions,
    rng: Rng,
  ) {
    super()
    const { dModel: D, normEps, bound } = options
    this.inputProj = new Linear(D, 2 * D, rng)
    this.lambdaProj = new Linear(D, D, rng)
    this.gate = new Linear(D, 2 * D, rng)
    this.outProj = new Linear(2 * D, D, rng)
    this.norm = new LayerNorm(2 * D, normEps)
    this.bound = bound
    this.theta = parameter(tensor1d(Float32Array.from({ length: D }, (_, i) => 10000 ** ((-2 * i) / D))))
  }

  initialState(batch: number): ComplexState {
    return complexState(batch, this.options.dModel)
  }

  forward(x: Tensor, state?: ComplexState, pass?: Pass): Mixed<ComplexState> {
    const { B, T, D } = dims('ComplexHGRN.forward x', x, 'B T D', { D: this.options.dModel })
    const gaps = gapsOf('ComplexHGRN.forward', pass, B, T)
    const candidate = complexParts(reshape(silu(this.inputProj.forward(x)), [B, T, D, 2]))
    const { forget, input } = boundedGates(this.lambdaProj.forward(x), this.bound)
    const before = state ?? this.initialState(B)
    const { h, state: after } = diagonalStates(polar(forget, this.theta), scaled(candidate, input), before, gaps)
    pass?.record?.record('decay', forget)
    const read = mul(this.norm.forward(concat([h.re, h.im], 2)), silu(this.gate.forward(x)))
    return { y: this.outProj.forward(read), state: after }
  }

  stateBytes(): number {
    return 8 * this.options.dModel
  }
}
