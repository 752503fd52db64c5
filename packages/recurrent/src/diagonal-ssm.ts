import {
  affine,
  complexLinearScan,
  constant,
  cosSin,
  type Gaps,
  gelu,
  Linear,
  Module,
  overGaps,
  type Rng,
  tokenAt,
} from '@mneme/core-tensor'
import {
  add,
  div,
  exp,
  expandDims,
  expm1,
  mul,
  sigmoid,
  split,
  square,
  sub,
  type Tensor,
  unstack,
} from '@tensorflow/tfjs-core'

/** A complex tensor as two real ones of one shape. */
export interface Complex {
  readonly re: Tensor
  readonly im: Tensor
}

/** State of a diagonal recurrence over complex numbers, `[B, N]` each. */
export type ComplexState = { readonly hr: Tensor; readonly hi: Tensor }

/** Zeros for `batch` rows: real and imaginary part. */
export function complexState(batch: number, width: number): ComplexState {
  return { hr: constant([batch, width], 0), hi: constant([batch, width], 0) }
}

/** The product of two complex tensors, part by part. */
export function complexProduct(a: Complex, b: Complex): Complex {
  return {
    re: sub(mul(a.re, b.re), mul(a.im, b.im)),
    im: add(mul(a.re, b.im), mul(a.im, b.re)),
  }
}

/** A complex tensor times a real one. */
export function scaled({ re, im }: Complex, factor: Tensor): Complex {
  return { re: mul(re, factor), im: mul(im, factor) }
}

/** The numbers of a size and an angle, `size e^{i angle}`. */
export function polar(size: Tensor, angle: Tensor): Complex {
  const { cos, sin } = cosSin({ angle })
  return scaled({ re: cos, im: sin }, size)
}

/** Numbers stored as real and imaginary part, side by side along the last axis. */
export function complexParts(stored: Tensor): Complex {
  const [re, im] = unstack(stored, stored.rank - 1) as [Tensor, Tensor]
  return { re, im }
}

function complexQuotient(a: Complex, b: Complex): Complex {
  const size = add(square(b.re), square(b.im))
  return {
    re: div(add(mul(a.re, b.re), mul(a.im, b.im)), size),
    im: div(sub(mul(a.im, b.re), mul(a.re, b.im)), size),
  }
}

/**
 * Zero-order hold of `x' = A x + B u` over one step: `decay = e^{ΔA}`, and `gain = (e^{ΔA} − 1) / A`, which multiplies B.
 * Any shapes that broadcast.
 */
export function zeroOrderHold(rate: Complex, step: Tensor): { readonly decay: Complex; readonly gain: Complex } {
  const [x, y] = [mul(rate.re, step), mul(rate.im, step)]
  const size = exp(x)
  const decay = polar(size, y)
  // e^x cos y − 1 without the difference of two numbers close to 1
  const lessOne = sub(expm1(x), mul(mul(square(cosSin({ angle: div(y, 2) }).sin), 2), size))
  return { decay, gain: complexQuotient({ re: lessOne, im: decay.im }, rate) }
}

/**
 * `h_t = λ h_{t-1} + b_t` over complex numbers: λ `[N]`, one a channel for all tokens, or `[B, T, N]`; b `[B, T, N]`.
 * Padding is stepped over, and a start anew forgets.
 */
export function diagonalStates(
  factor: Complex,
  input: Complex,
  before: ComplexState,
  gaps: Gaps | null,
): { readonly h: Complex; readonly state: ComplexState } {
  const { a: ar, b: br } = overGaps(factor.re, input.re, gaps)
  const tokens = gaps && expandDims(gaps.tokens, 2)
  const open = gaps && expandDims(sub(gaps.tokens, gaps.starts), 2)
  const ai = open ? mul(factor.im, open) : factor.im
  const bi = tokens ? mul(input.im, tokens) : input.im
  const { hr, hi } = complexLinearScan({ ar, ai, br, bi, h0r: before.hr, h0i: before.hi })
  const last = (hr.shape[1] as number) - 1
  return { h: { re: hr, im: hi }, state: { hr: tokenAt(hr, last), hi: tokenAt(hi, last) } }
}

/** B u for a real u `[B, T, D]` and a complex B `[N, D]`. */
export function complexAffine(u: Tensor, weight: Complex): Complex {
  return { re: affine({ x: u, weight: weight.re }).y, im: affine({ x: u, weight: weight.im }).y }
}

/** Re(C h) for states h `[B, T, N]` and C `[D, N]`, both complex. */
export function realAffine(h: Complex, weight: Complex): Tensor {
  return sub(affine({ x: h.re, weight: weight.re }).y, affine({ x: h.im, weight: weight.im }).y)
}

/** What follows the recurrence: `a ⊙ σ(b)` with both from gelu(y), `gelu(y) ⊙ σ(b)`, or nothing. */
export type Mixing = 'glu' | 'half-glu' | 'none'

/**
 * Mixes the channels of a recurrence that works on each by itself: `a ⊙ σ(b)`, [a, b] = W gelu(y) + c, `[B, T, D]`. Time
 * O(T D²). Source: the layers of Gu et al. 2022, arXiv:2206.11893, and Smith et al. 2022, arXiv:2208.04933.
 */
export class GluMixing extends Module {
  readonly linear: Linear | null

  constructor(
    dModel: number,
    private readonly mixing: Mixing,
    rng: Rng,
  ) {
    super()
    this.linear = mixing === 'none' ? null : new Linear(dModel, (mixing === 'glu' ? 2 : 1) * dModel, rng)
  }

  /** `[B, T, D]` to `[B, T, D]`. */
  forward(y: Tensor): Tensor {
    if (this.linear === null) return y
    const active = gelu(y)
    const mixed = this.linear.forward(active)
    if (this.mixing === 'half-glu') return mul(active, sigmoid(mixed))
    const [a, b] = split(mixed, 2, 2) as [Tensor, Tensor]
    return mul(a, sigmoid(b))
  }
}
