import {
  dims,
  draw,
  gapsOf,
  Linear,
  linearScan,
  type Mixed,
  type MixerTraits,
  Module,
  overGaps,
  type Pass,
  parameter,
  type Rng,
  type SequenceMixer,
  tokenAt,
  uniform,
} from '@mneme/core-tensor'
import { add, mul, neg, sigmoid, split, type Tensor, tanh, type Variable, zeros } from '@tensorflow/tfjs-core'

export interface SruOptions {
  readonly dModel: number
  /** What the cell passes before it is shown. */
  readonly activation: 'tanh' | 'none'
  /** First bias of the reset gate: the lower, the more of the input goes by. */
  readonly highwayBias: number
}

/**
 * Simple recurrent unit: gates see the token alone, so that the recurrence is one scan; the input goes by on a highway.
 *
 *   u, k, l = W x_t,   f = σ(k + b_f),   r = σ(l + b_r)
 *   c_t = f ⊙ c_{t-1} + (1 − f) ⊙ u,   y_t = r ⊙ g(c_t) + (1 − r) ⊙ α x_t
 *
 * W `[3D, D]` without bias; bias `[2D]`, b_f before b_r; α = √(1 + 2 e^b) with b the first b_r, so that deviations stay
 * over layers; g is tanh or nothing. State c `[B, D]`, constant in T. Time O(T D²).
 * Paper: Lei et al. 2017, arXiv:1709.02755, sections 2.1 and 3.2.
 * Differs: gates do not see c_{t-1}: the authors' weights v_f = v_r = 0. Rows of W stand gate after gate, which the
 * authors have side by side for each channel.
 */
export class SRU extends Module implements SequenceMixer<Tensor> {
  readonly traits: MixerTraits = { causal: true, padding: true, constantState: true }
  /** Parts of its output: candidate, forget gate, reset gate. */
  readonly projection: Linear
  readonly bias: Variable
  private readonly scale: number

  constructor(
    private readonly options: SruOptions,
    rng: Rng,
  ) {
    super()
    const { dModel, highwayBias } = options
    const bound = Math.sqrt(3 / dModel)
    const init = (_: Rng, shape: readonly number[]): Tensor => uniform(rng, shape, -bound, bound)
    this.projection = new Linear(dModel, 3 * dModel, rng, { bias: false, init })
    let drawn = 0
    this.bias = parameter(draw([2 * dModel], () => (++drawn > dModel ? highwayBias : 0)))
    this.scale = Math.sqrt(1 + 2 * Math.exp(highwayBias))
  }

  initialState(batch: number): Tensor {
    return zeros([batch, this.options.dModel])
  }

  forward(x: Tensor, state?: Tensor, pass?: Pass): Mixed<Tensor> {
    const { B, T } = dims('SRU.forward x', x, 'B T D', { D: this.options.dModel })
    const [u, k, l] = split(this.projection.forward(x), 3, 2) as [Tensor, Tensor, Tensor]
    const [forgetBias, resetBias] = split(this.bias, 2) as [Tensor, Tensor]
    const forget = add(k, forgetBias)
    const decay = sigmoid(forget)
    const coefficients = overGaps(decay, mul(sigmoid(neg(forget)), u), gapsOf('SRU.forward', pass, B, T))
    const c = linearScan({ ...coefficients, h0: state ?? this.initialState(B) }).h
    pass?.record?.record('decay', decay)
    pass?.record?.record('state', c)
    const reset = add(l, resetBias)
    const shown = this.options.activation === 'tanh' ? tanh(c) : c
    const passed = mul(sigmoid(neg(reset)), mul(x, this.scale))
    return { y: add(mul(sigmoid(reset), shown), passed), state: tokenAt(c, T - 1) }
  }

  stateBytes(): number {
    return 4 * this.options.dModel
  }
}
