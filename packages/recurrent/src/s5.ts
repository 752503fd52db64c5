import {
  dims,
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
  minimum,
  mul,
  type Tensor,
  tensor1d,
  tensor3d,
  type Variable,
} from '@tensorflow/tfjs-core'
import {
  type ComplexState,
  complexAffine,
  complexParts,
  complexProduct,
  complexState,
  diagonalStates,
  GluMixing,
  type Mixing,
  realAffine,
  zeroOrderHold,
} from './diagonal-ssm.js'
import { hippoNormal } from './hippo.js'

export interface S5Options {
  readonly dModel: number
  /** States, of which one of each conjugate pair is kept; a multiple of 2 · blocks. */
  readonly dState: number
  /** Copies of the HiPPO matrix that the states start with, side by side. */
  readonly blocks: number
  /** Keeps the real parts of the rates at or below −1e-4. */
  readonly clipRates: boolean
  readonly mixing: Mixing
}

/**
 * Diagonal state space with many inputs and outputs: all channels write one state and read it.
 *
 *   x' = Λ x + B u,   y = 2 Re(C x) + D ⊙ u,   held over steps Δ = e^δ:
 *   h_t = e^{ΔΛ} ⊙ h_{t-1} + ((e^{ΔΛ} − 1) / Λ) ⊙ B u_t
 *
 * Λ `[P]`, B `[P, D]`, C `[D, P]` complex, δ `[P]`, D `[D]`, P half the states. Then channels are mixed by gelu and a gated
 * linear unit. State h as two tensors `[B, P]`, constant in T. Time O(T D P).
 * Paper: Smith et al. 2022, arXiv:2208.04933, section 3.
 * Differs: causal; the second scan from the end is left out.
 */
export class S5 extends Module implements SequenceMixer<ComplexState> {
  readonly traits: MixerTraits = { causal: true, padding: true, constantState: true }
  readonly lambdaRe: Variable
  readonly lambdaIm: Variable
  /** Real and imaginary part, `[P, D, 2]`. */
  readonly b: Variable
  /** Real and imaginary part, `[D, P, 2]`. */
  readonly c: Variable
  /** D of the paper. */
  readonly skip: Variable
  readonly logStep: Variable
  readonly output: GluMixing
  private readonly pairs: number

  constructor(
    private readonly options: S5Options,
    rng: Rng,
  ) {
    super()
    const { dModel: D, dState, blocks, mixing } = options
    if (dState % (2 * blocks) !== 0) {
      throw new RangeError(`S5 dState: expected a multiple of 2 · blocks = ${2 * blocks}, got ${dState}.`)
    }
    this.pairs = dState / 2
    const start = hippoStart(options, rng)
    this.lambdaRe = parameter(tensor1d(new Float32Array(this.pairs).fill(-0.5)))
    this.lambdaIm = parameter(tensor1d(start.frequencies))
    this.b = parameter(tensor3d(start.b, [this.pairs, D, 2]))
    this.c = parameter(tensor3d(start.c, [D, this.pairs, 2]))
    this.skip = parameter(normal(rng, [D], 1))
    this.logStep = parameter(uniform(rng, [this.pairs], Math.log(1e-3), Math.log(1e-1)))
    this.output = new GluMixing(D, mixing, rng)
  }

  initialState(batch: number): ComplexState {
    return complexState(batch, this.pairs)
  }

  forward(x: Tensor, state?: ComplexState, pass?: Pass): Mixed<ComplexState> {
    const { B, T } = dims('S5.forward x', x, 'B T D', { D: this.options.dModel })
    const gaps = gapsOf('S5.forward', pass, B, T)
    const re = this.options.clipRates ? minimum(this.lambdaRe, -1e-4) : this.lambdaRe
    const { decay, gain } = zeroOrderHold({ re, im: this.lambdaIm }, exp(this.logStep))
    const column = (y: Tensor): Tensor => expandDims(y, 1)
    const b = complexProduct({ re: column(gain.re), im: column(gain.im) }, complexParts(this.b))
    const { h, state: after } = diagonalStates(decay, complexAffine(x, b), state ?? this.initialState(B), gaps)
    pass?.record?.record('state', h.re)
    const read = realAffine(h, complexParts(this.c))
    return { y: this.output.forward(add(mul(read, 2), mul(x, this.skip))), state: after }
  }

  stateBytes(): number {
    return 8 * this.pairs
  }
}

/** Frequencies of HiPPO's normal part, and random B and C, B real and C complex, in the basis V of its eigenvectors. */
function hippoStart(
  { dModel: D, dState, blocks }: S5Options,
  rng: Rng,
): { readonly frequencies: Float32Array; readonly b: Float32Array; readonly c: Float32Array } {
  const width = dState / blocks
  const { frequencies, re, im } = hippoNormal(width)
  const pairs = dState / 2
  const b = new Float32Array(pairs * D * 2)
  const c = new Float32Array(D * pairs * 2)
  const entry = (rows: readonly Float64Array[], n: number, j: number): number => rows[n]?.[j] as number
  for (let d = 0; d < D; d++) {
    for (let block = 0; block < blocks; block++) {
      const draws = Array.from({ length: width }, () => [rng.normal(), rng.normal(), rng.normal()] as const)
      for (let j = 0; j < width / 2; j++) {
        const p = (block * width) / 2 + j
        let [br, bi, cr, ci] = [0, 0, 0, 0]
        for (const [n, [b0, c0r, c0i]] of draws.entries()) {
          const [vr, vi] = [entry(re, n, j), entry(im, n, j)]
          br += vr * b0
          bi -= vi * b0
          cr += c0r * vr - c0i * vi
          ci += c0r * vi + c0i * vr
        }
        b.set([br * D ** -0.5, bi * D ** -0.5], (p * D + d) * 2)
        c.set([cr * dState ** -0.5, ci * dState ** -0.5], (d * pairs + p) * 2)
      }
    }
  }
  return { frequencies: Float32Array.from({ length: pairs }, (_, p) => frequencies[p % (width / 2)] as number), b, c }
}
