import {
  constant,
  dims,
  draw,
  gapsOf,
  type Mixed,
  type MixerTraits,
  Module,
  normal,
  type Pass,
  parameter,
  type Rng,
  type SequenceMixer,
  uniform,
} from '@mneme/core-tensor'
import {
  add,
  exp,
  expandDims,
  mul,
  neg,
  ones,
  range,
  reshape,
  sub,
  sum,
  type Tensor,
  transpose,
  type Variable,
  zeros,
} from '@tensorflow/tfjs-core'
import {
  type Complex,
  type ComplexState,
  complexParts,
  complexProduct,
  complexState,
  diagonalStates,
  GluMixing,
  type Mixing,
  polar,
  zeroOrderHold,
} from './diagonal-ssm.js'

export interface S4dOptions {
  readonly dModel: number
  /** N, states of a channel, of which one of each conjugate pair is kept; even. */
  readonly dState: number
  /** Start of the frequencies: `lin` πn, `inv` (N/π)(N/(2n + 1) − 1). */
  readonly frequencies: 'lin' | 'inv'
  readonly mixing: Mixing
}

/**
 * Diagonal state space, time-invariant: each channel is convolved with a sum of N/2 decaying waves of its own.
 *
 *   x' = A x + u,   y = 2 Re(C x) + D u,   A = −e^a + i ω,   held over steps of e^δ:
 *   h_t = e^{ΔA} h_{t-1} + u_t,   y_t = 2 Re(C' h_t) + D u_t,   C' = C (e^{ΔA} − 1) / A
 *
 * a, ω `[D, N/2]` real, C `[D, N/2]` complex, δ, D `[D]`. Then channels are mixed by gelu and a gated linear unit. State h
 * as two tensors `[B, D N/2]`, constant in T. Time O(T D N).
 * Paper: Gu et al. 2022, arXiv:2206.11893, sections 3 and 4.
 * Differs: trained as a scan, which equals the convolution by FFT.
 */
export class S4D extends Module implements SequenceMixer<ComplexState> {
  readonly traits: MixerTraits = { causal: true, padding: true, constantState: true }
  readonly logStep: Variable
  /** ln of minus the real part of A. */
  readonly logARe: Variable
  readonly aIm: Variable
  /** Real and imaginary part, `[D, N/2, 2]`. */
  readonly c: Variable
  /** D of the paper. */
  readonly skip: Variable
  readonly output: GluMixing
  private readonly pairs: number

  constructor(
    private readonly options: S4dOptions,
    rng: Rng,
  ) {
    super()
    const { dModel: D, dState: N, frequencies, mixing } = options
    if (N % 2 !== 0) throw new RangeError(`S4D dState: expected an even number, got ${N}.`)
    this.pairs = N / 2
    const frequency = (n: number): number =>
      frequencies === 'lin' ? Math.PI * n : (N / Math.PI) * (N / (2 * n + 1) - 1)
    this.logStep = parameter(uniform(rng, [D], Math.log(1e-3), Math.log(1e-1)))
    this.logARe = parameter(constant([D, this.pairs], Math.log(0.5)))
    this.aIm = parameter(draw([D, this.pairs], (place) => frequency(place % this.pairs)))
    this.c = parameter(normal(rng, [D, this.pairs, 2], 0.5 ** 0.5))
    this.skip = parameter(normal(rng, [D], 1))
    this.output = new GluMixing(D, mixing, rng)
  }

  /** e^{ΔA} and C', complex `[D, N/2]`. */
  private discretised(): { readonly decay: Complex; readonly readout: Complex } {
    const rate = { re: neg(exp(this.logARe)), im: this.aIm }
    const { decay, gain } = zeroOrderHold(rate, expandDims(exp(this.logStep), 1))
    return { decay, readout: complexProduct(complexParts(this.c), gain) }
  }

  /** What each channel is convolved with, `[D, length]`: `K_l = 2 Re Σ_n C'_n e^{lΔA_n}`. */
  kernel(length: number): Tensor {
    const { readout } = this.discretised()
    const step = expandDims(exp(this.logStep), 1)
    const times = reshape(range(0, length, 1, 'float32'), [length, 1, 1])
    const size = exp(neg(mul(times, mul(exp(this.logARe), step)))) // [length, D, N/2]
    const waves = complexProduct(readout, polar(size, mul(times, mul(this.aIm, step))))
    return transpose(mul(sum(waves.re, 2), 2)) as Tensor
  }

  initialState(batch: number): ComplexState {
    return complexState(batch, this.options.dModel * this.pairs)
  }

  forward(x: Tensor, state?: ComplexState, pass?: Pass): Mixed<ComplexState> {
    const { B, T, D } = dims('S4D.forward x', x, 'B T D', { D: this.options.dModel })
    const gaps = gapsOf('S4D.forward', pass, B, T)
    const N = D * this.pairs
    const flat = ({ re, im }: Complex): Complex => ({ re: reshape(re, [N]), im: reshape(im, [N]) })
    const { decay, readout } = this.discretised()
    const input = { re: reshape(mul(expandDims(x, 3), ones([this.pairs])), [B, T, N]), im: zeros([B, T, N]) }
    const { h, state: after } = diagonalStates(flat(decay), input, state ?? this.initialState(B), gaps)
    pass?.record?.record('state', h.re)
    const { re, im } = flat(readout)
    const read = sum(reshape(sub(mul(h.re, re), mul(h.im, im)), [B, T, D, this.pairs]), 3)
    return { y: this.output.forward(add(mul(read, 2), mul(x, this.skip))), state: after }
  }

  stateBytes(): number {
    return 8 * this.options.dModel * this.pairs
  }
}
