import {
  constant,
  dims,
  type Gaps,
  gapsOf,
  Linear,
  linearScan,
  type Mixed,
  type MixerTraits,
  Module,
  minGru,
  overGaps,
  type Pass,
  positive,
  type Rng,
  type SequenceMixer,
  tokenAt,
} from '@mneme/core-tensor'
import { mul, neg, sigmoid, softplus, split, sub, type Tensor } from '@tensorflow/tfjs-core'

export interface MinRnnOptions {
  readonly dModel: number
  /** Inner width over model width; 1 leaves out the output projection. */
  readonly expansion: number
  /** What stands before the first token: nothing, or g(0) = 0.5. */
  readonly h0: 'zero' | 'half'
}

/** Coefficients of `h_t = a_t h_{t-1} + b_t`. */
interface Coefficients {
  readonly a: Tensor
  readonly b: Tensor
}

/** minGRU: the gate looks at the token alone. `z = sigmoid(gate)`, `a = 1 - z`, `b = z g(hidden)`. All `[B, T, D]`. */
export function minGruCoefficients(hidden: Tensor, gate: Tensor): Coefficients {
  return { a: sigmoid(neg(gate)), b: mul(sigmoid(gate), positive(hidden)) }
}

/** minLSTM: forget and input gate are scaled to add up to 1. `f' = f / (f + i)`. All `[B, T, D]`. */
export function minLstmCoefficients(hidden: Tensor, forgetGate: Tensor, inputGate: Tensor): Coefficients {
  // ln(i / f) written with softplus, which stays finite where both gates are all but shut
  const odds = sub(softplus(neg(forgetGate)), softplus(neg(inputGate)))
  return { a: sigmoid(neg(odds)), b: mul(sigmoid(odds), positive(hidden)) }
}

/** `h_t = a_t ⊙ h_{t-1} + b_t`, `y_t = W_o h_t`, with coefficients that depend on the current token only. */
abstract class MinRnn extends Module implements SequenceMixer<Tensor> {
  readonly traits: MixerTraits = { causal: true, padding: true, constantState: true }
  readonly projection: Linear
  readonly outProj: Linear | null
  /** What errors name. */
  protected abstract readonly where: string
  private readonly dModel: number
  private readonly inner: number
  private readonly start: number

  /** @param gates number of gates beside the candidate */
  constructor({ dModel, expansion, h0 }: MinRnnOptions, gates: number, rng: Rng) {
    super()
    this.dModel = dModel
    this.inner = Math.trunc(dModel * expansion)
    this.start = h0 === 'half' ? 0.5 : 0
    this.projection = new Linear(dModel, (1 + gates) * this.inner, rng, { bias: false })
    this.outProj = expansion === 1 ? null : new Linear(this.inner, dModel, rng, { bias: false })
  }

  /** From the projected parts, candidate first, to the coefficients of the scan. */
  protected abstract coefficients(parts: readonly Tensor[]): Coefficients

  initialState(batch: number): Tensor {
    return constant([batch, this.inner], this.start)
  }

  forward(x: Tensor, state?: Tensor, pass?: Pass): Mixed<Tensor> {
    const { B, T } = dims(`${this.where} x`, x, 'B T D', { D: this.dModel })
    const projected = this.projection.forward(x)
    const initial = this.initialState(B)
    const gaps = gapsOf(this.where, pass, B, T)
    const h = this.scan(projected, state ?? initial, gaps, initial, pass)
    pass?.record?.record('state', h)
    return { y: this.outProj ? this.outProj.forward(h) : h, state: tokenAt(h, T - 1) }
  }

  /** States of every token, `[B, T, E]`, from the projected parts. */
  protected scan(projected: Tensor, h0: Tensor, gaps: Gaps | null, initial: Tensor, pass?: Pass): Tensor {
    const parts = split(projected, (projected.shape[2] as number) / this.inner, 2)
    const { a, b } = this.coefficients(parts)
    pass?.record?.record('decay', a)
    return linearScan({ ...overGaps(a, b, gaps, initial), h0 }).h
  }

  stateBytes(): number {
    return 4 * this.inner
  }
}

/**
 * minGRU: a gated recurrence whose gate looks at the token alone, so that training is one scan.
 *
 *   h_t = (1 − z_t) ⊙ h_{t-1} + z_t ⊙ g(W_h x_t),   z_t = σ(W_z x_t),   y_t = W_o h_t
 *
 * W_h, W_z `[E, D]`, g(x) = x + 1/2 above 0 and σ(x) below. State h `[B, E]`, E = expansion · D, constant in T. Time
 * O(T D E), decoding O(D E).
 * Paper: Feng et al. 2024, arXiv:2410.01201, section 3.1.
 * Differs: scanned in linear space, which equals the log-space scan; no bias, as in the common port.
 */
export class MinGRU extends MinRnn {
  protected readonly where = 'MinGRU.forward'

  constructor(options: MinRnnOptions, rng: Rng) {
    super(options, 1, rng)
  }

  protected coefficients([hidden, gate]: readonly [Tensor, Tensor]): Coefficients {
    return minGruCoefficients(hidden, gate)
  }

  /** One op where nothing has to be stepped over or looked at. */
  protected override scan(projected: Tensor, h0: Tensor, gaps: Gaps | null, initial: Tensor, pass?: Pass): Tensor {
    if (gaps !== null || pass?.record) return super.scan(projected, h0, gaps, initial, pass)
    return minGru({ projected, h0 }).h
  }
}

/**
 * minLSTM: forget and input gate, scaled to add up to 1, look at the token alone, so that training is one scan.
 *
 *   h_t = f_t / (f_t + i_t) ⊙ h_{t-1} + i_t / (f_t + i_t) ⊙ g(W_h x_t),   f, i = σ(W_f x_t), σ(W_i x_t),   y_t = W_o h_t
 *
 * Shapes, state and cost are minGRU's. Paper: Feng et al. 2024, arXiv:2410.01201, section 3.2. Differs as minGRU does.
 */
export class MinLSTM extends MinRnn {
  protected readonly where = 'MinLSTM.forward'

  constructor(options: MinRnnOptions, rng: Rng) {
    super(options, 2, rng)
  }

  protected coefficients([hidden, forgetGate, inputGate]: readonly [Tensor, Tensor, Tensor]): Coefficients {
    return minLstmCoefficients(hidden, forgetGate, inputGate)
  }
}
