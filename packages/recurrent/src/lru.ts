import {
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
} from '@mneme/core-tensor'
import { add, exp, mul, neg, type Tensor, tensor1d, type Variable } from '@tensorflow/tfjs-core'
import {
  type Complex,
  type ComplexState,
  complexAffine,
  complexState,
  diagonalStates,
  GluMixing,
  type Mixing,
  polar,
  realAffine,
  scaled,
} from './diagonal-ssm.js'

export interface LruOptions {
  readonly dModel: number
  /** N, complex states. */
  readonly dState: number
  /** The moduli of λ start in this ring, uniform over its area. */
  readonly rMin: number
  readonly rMax: number
  /** The angles of λ start in [0, maxPhase). */
  readonly maxPhase: number
  readonly mixing: Mixing
}

/**
 * Linear recurrent unit: a diagonal recurrence over complex numbers inside the unit circle, its inputs scaled to size.
 *
 *   h_t = λ ⊙ h_{t-1} + e^γ ⊙ B u_t,   y_t = Re(C h_t) + D ⊙ u_t,   λ = exp(−e^ν + i e^θ)
 *
 * ν, θ, γ `[N]` real; B `[N, D]`, C `[D, N]` complex; D `[D]`. Then channels are mixed by gelu and a gated linear unit.
 * State h as two tensors `[B, N]`, constant in T. Time O(T D N).
 * Paper: Orvieto et al. 2023, arXiv:2303.06349, section 3.
 */
export class LRU extends Module implements SequenceMixer<ComplexState> {
  readonly traits: MixerTraits = { causal: true, padding: true, constantState: true }
  readonly nuLog: Variable
  readonly thetaLog: Variable
  readonly gammaLog: Variable
  readonly bRe: Variable
  readonly bIm: Variable
  readonly cRe: Variable
  readonly cIm: Variable
  /** D of the paper. */
  readonly skip: Variable
  readonly output: GluMixing

  constructor(
    private readonly options: LruOptions,
    rng: Rng,
  ) {
    super()
    const { dModel: D, dState: N, rMin, rMax, maxPhase, mixing } = options
    // away from both ends, where logarithms are not finite
    const inside = (): number => 1e-7 + (1 - 2e-7) * rng.uniform()
    const nu = Float32Array.from({ length: N }, () =>
      Math.log(-0.5 * Math.log(inside() * (rMax ** 2 - rMin ** 2) + rMin ** 2)),
    )
    this.nuLog = parameter(tensor1d(nu))
    this.thetaLog = parameter(draw([N], () => Math.log(maxPhase * inside())))
    this.gammaLog = parameter(tensor1d(nu.map((value) => 0.5 * Math.log(-Math.expm1(-2 * Math.exp(value))))))
    this.bRe = parameter(normal(rng, [N, D], (2 * D) ** -0.5))
    this.bIm = parameter(normal(rng, [N, D], (2 * D) ** -0.5))
    this.cRe = parameter(normal(rng, [D, N], N ** -0.5))
    this.cIm = parameter(normal(rng, [D, N], N ** -0.5))
    this.skip = parameter(normal(rng, [D], 1))
    this.output = new GluMixing(D, mixing, rng)
  }

  /** λ, complex `[N]`. */
  eigenvalues(): Complex {
    return polar(exp(neg(exp(this.nuLog))), exp(this.thetaLog))
  }

  initialState(batch: number): ComplexState {
    return complexState(batch, this.options.dState)
  }

  forward(x: Tensor, state?: ComplexState, pass?: Pass): Mixed<ComplexState> {
    const { B, T } = dims('LRU.forward x', x, 'B T D', { D: this.options.dModel })
    const gaps = gapsOf('LRU.forward', pass, B, T)
    const input = scaled(complexAffine(x, { re: this.bRe, im: this.bIm }), exp(this.gammaLog))
    const { h, state: after } = diagonalStates(this.eigenvalues(), input, state ?? this.initialState(B), gaps)
    pass?.record?.record('state', h.re)
    const read = realAffine(h, { re: this.cRe, im: this.cIm })
    return { y: this.output.forward(add(read, mul(x, this.skip))), state: after }
  }

  stateBytes(): number {
    return 8 * this.options.dState
  }
}
