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
  sru,
  tokenAt,
  uniform,
} from '@mneme/core-tensor'
import {
  add,
  concat,
  expandDims,
  mul,
  neg,
  sigmoid,
  slice,
  split,
  sub,
  type Tensor,
  tanh,
  type Variable,
  zeros,
} from '@tensorflow/tfjs-core'

export interface SruOptions {
  readonly dModel: number
  /** What the cell passes before it is shown. */
  readonly activation: 'tanh' | 'none'
  /** First bias of the reset gate: the lower, the more of the input goes by. */
  readonly highwayBias: number
  /** Whether gates see the last state of their channel; then the recurrence is a loop, else a scan. */
  readonly peephole: boolean
}

/**
 * Simple recurrent unit: gates see the token, and of the last state at most their own channel; the input goes by on a
 * highway.
 *
 *   u, k, l = W x_t,   f = σ(k + v_f ⊙ c_{t-1} + b_f),   r = σ(l + v_r ⊙ c_{t-1} + b_r)
 *   c_t = f ⊙ c_{t-1} + (1 − f) ⊙ u,   y_t = r ⊙ g(c_t) + (1 − r) ⊙ α x_t
 *
 * W `[3D, D]` without bias; bias `[2D]`, b_f before b_r; α = √(1 + 2 e^b) with b the first b_r, so that deviations stay
 * over layers; g is tanh or nothing. peepholes `[2D]`, v_f before v_r; without them v = 0, and all tokens are one scan.
 * State c `[B, D]`, constant in T. Time O(T D²).
 * Paper: Lei et al. 2018, arXiv:1709.02755v5, sections 3.1 and 3.2; without peepholes its first version.
 * Differs: rows of W stand gate after gate, which the authors have side by side for each channel.
 */
export class SRU extends Module implements SequenceMixer<Tensor> {
  readonly traits: MixerTraits = { causal: true, padding: true, constantState: true }
  /** Parts of its output: candidate, forget gate, reset gate. */
  readonly projection: Linear
  readonly bias: Variable
  /** v_f before v_r. */
  readonly peepholes: Variable | null
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
    this.bias = parameter(draw([2 * dModel], (place) => (place < dModel ? 0 : highwayBias)))
    this.peepholes = options.peephole ? parameter(init(rng, [2 * dModel])) : null
    this.scale = Math.sqrt(1 + 2 * Math.exp(highwayBias))
  }

  initialState(batch: number): Tensor {
    return zeros([batch, this.options.dModel])
  }

  forward(x: Tensor, state?: Tensor, pass?: Pass): Mixed<Tensor> {
    const { B, T } = dims('SRU.forward x', x, 'B T D', { D: this.options.dModel })
    const [u, k, l] = split(this.projection.forward(x), 3, 2) as [Tensor, Tensor, Tensor]
    const [forgetBias, resetBias] = split(this.bias, 2) as [Tensor, Tensor]
    const gaps = gapsOf('SRU.forward', pass, B, T)
    const forget = add(k, forgetBias)
    const c0 = state ?? this.initialState(B)
    if (this.peepholes === null) {
      const decay = sigmoid(forget)
      pass?.record?.record('decay', decay)
      const c = linearScan({ ...overGaps(decay, mul(sigmoid(neg(forget)), u), gaps), h0: c0 }).h
      return this.shown(x, c, add(l, resetBias), pass)
    }
    const [forgetPeephole, resetPeephole] = split(this.peepholes, 2) as [Tensor, Tensor]
    const { c } = sru({
      candidate: u,
      forget,
      peephole: forgetPeephole,
      c0,
      ...(gaps && { mask: gaps.tokens, resets: gaps.starts }),
    })
    const last = concat([expandDims(c0, 1), slice(c, [0, 0, 0], [B, T - 1, -1])], 1)
    const seen = gaps ? mul(last, sub(1, expandDims(gaps.starts, 2))) : last
    return this.shown(x, c, add(l, add(mul(resetPeephole, seen), resetBias)), pass)
  }

  /** What the reset gate lets out of the states, beside the highway. */
  private shown(x: Tensor, c: Tensor, reset: Tensor, pass?: Pass): Mixed<Tensor> {
    pass?.record?.record('state', c)
    const shown = this.options.activation === 'tanh' ? tanh(c) : c
    const passed = mul(sigmoid(neg(reset)), mul(x, this.scale))
    return { y: add(mul(sigmoid(reset), shown), passed), state: tokenAt(c, (c.shape[1] as number) - 1) }
  }

  stateBytes(): number {
    return 4 * this.options.dModel
  }
}
