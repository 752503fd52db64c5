import {
  blockDiagonal,
  boundedSqrt,
  constant,
  dims,
  draw,
  equalParts,
  type Gaps,
  gapsOf,
  linearScan,
  type Mixed,
  type MixerTraits,
  Module,
  normal,
  overGaps,
  type Pass,
  parameter,
  type Rng,
  type SequenceMixer,
  shifted,
  tokenAt,
} from '@mneme/core-tensor'
import {
  add,
  concat,
  exp,
  expandDims,
  expm1,
  max,
  maximum,
  mul,
  neg,
  reshape,
  sigmoid,
  softplus,
  sub,
  type Tensor,
  type Variable,
  zeros,
} from '@tensorflow/tfjs-core'

/** The constant c of the paper. */
const SHARPNESS = 8

export interface RgLruOptions {
  readonly dModel: number
  /** Blocks of the gates' weights, which are block-diagonal; divides dModel. */
  readonly nHeads: number
}

export type RgLruState = {
  readonly h: Tensor
  /** 1 for a row that has not seen a token, `[B, 1]`: its first token is stored whole. */
  readonly fresh: Tensor
}

/** Logarithm of the decay, `−8 σ(r) softplus(Λ)`. r `[B, T, D]`, Λ `[D]`. */
export function rgLruLogDecay(recurrenceGate: Tensor, lambda: Tensor): Tensor {
  return mul(mul(sigmoid(recurrenceGate), softplus(lambda)), -SHARPNESS)
}

/** `sqrt(1 − a²)` from ln a, exact where a is close to 1. */
export function rgLruScale(logDecay: Tensor): Tensor {
  return boundedSqrt({ x: neg(expm1(mul(logDecay, 2))) }).y
}

/**
 * Real-gated linear recurrent unit: a recurrence whose inputs are scaled so that the state keeps its size.
 *
 *   h_t = a_t ⊙ h_{t-1} + sqrt(1 − a_t²) ⊙ (σ(W_i x_t + b_i) ⊙ x_t),   ln a_t = −8 σ(W_r x_t + b_r) softplus(Λ)
 *
 * The gates' weights are block-diagonal, `[H, D/H, D/H]`. The first token of a document is not scaled. The output is h.
 * State h `[B, D]`, constant in T. Time O(T D²/H).
 * Paper: De et al. 2024, arXiv:2402.19427, section 2.4.
 * Differs: where the text and the authors' code disagree on Λ's start, as in the code: a⁸ for the a of the text.
 */
export class RGLRU extends Module implements SequenceMixer<RgLruState> {
  readonly traits: MixerTraits = { causal: true, padding: true, constantState: true }
  readonly inputGateWeight: Variable
  readonly inputGateBias: Variable
  readonly recurrenceGateWeight: Variable
  readonly recurrenceGateBias: Variable
  /** Λ */
  readonly lambda: Variable

  constructor(
    private readonly options: RgLruOptions,
    rng: Rng,
  ) {
    super()
    const { dModel, nHeads } = options
    const block = equalParts('RGLRU nHeads', nHeads, 'dModel', dModel)
    const gate = (): Variable => parameter(normal(rng, [nHeads, block, block], block ** -0.5))
    this.inputGateWeight = gate()
    this.inputGateBias = parameter(zeros([nHeads, block]))
    this.recurrenceGateWeight = gate()
    this.recurrenceGateBias = parameter(zeros([nHeads, block]))
    this.lambda = parameter(draw([dModel], () => decayStart(rng)))
  }

  initialState(batch: number): RgLruState {
    return { h: zeros([batch, this.options.dModel]), fresh: constant([batch, 1], 1) }
  }

  forward(x: Tensor, state?: RgLruState, pass?: Pass): Mixed<RgLruState> {
    const { B, T } = dims('RGLRU.forward x', x, 'B T D', { D: this.options.dModel })
    const before = state ?? this.initialState(B)
    const gaps = gapsOf('RGLRU.forward', pass, B, T)
    const input = sigmoid(gate(x, this.inputGateWeight, this.inputGateBias))
    const logDecay = rgLruLogDecay(gate(x, this.recurrenceGateWeight, this.recurrenceGateBias), this.lambda)
    const first = firstTokens(before.fresh, gaps, T)
    const scale = add(first, mul(sub(1, first), rgLruScale(logDecay)))
    const coefficients = overGaps(exp(logDecay), mul(scale, mul(input, x)), gaps)
    const h = linearScan({ ...coefficients, h0: before.h }).h
    pass?.record?.record('decay', exp(logDecay))
    pass?.record?.record('state', h)
    return { y: h, state: { h: tokenAt(h, T - 1), fresh: stillFresh(before.fresh, gaps) } }
  }

  stateBytes(): number {
    return 4 * (this.options.dModel + 1)
  }
}

/** Λ for which `a = exp(−softplus Λ)` has a² uniform in [0.9², 0.999²]. */
function decayStart(rng: Rng): number {
  const squared = 0.9 ** 2 + (0.999 ** 2 - 0.9 ** 2) * rng.uniform()
  return Math.log(Math.expm1(-Math.log(squared) / 2))
}

/** Each block of x `[B, T, D]` through its own weights `[H, D/H, D/H]`, `[in, out]`, plus bias `[H, D/H]`. */
function gate(x: Tensor, weight: Tensor, bias: Tensor): Tensor {
  return add(blockDiagonal(x, weight), reshape(bias, [-1]))
}

/** 1 at the first token of a document, `[B, T, 1]`. */
function firstTokens(fresh: Tensor, gaps: Gaps | null, T: number): Tensor {
  const B = fresh.shape[0] as number
  if (gaps === null) return reshape(T === 1 ? fresh : concat([fresh, zeros([B, T - 1])], 1), [B, T, 1])
  // a row stays fresh over padding: 1 behind each position where no token has come yet
  const { tokens, starts } = gaps
  const unseen = linearScan({ a: expandDims(sub(1, tokens), 2), b: zeros([B, T, 1]), h0: fresh }).h
  return maximum(mul(shifted(unseen, fresh), expandDims(tokens, 2)), expandDims(starts, 2))
}

function stillFresh(fresh: Tensor, gaps: Gaps | null): Tensor {
  return gaps === null ? zeros(fresh.shape) : mul(fresh, sub(1, max(gaps.tokens, 1, true)))
}
