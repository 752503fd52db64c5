import {
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
  previousTokens,
  type Rng,
  type SequenceMixer,
  wkv4,
} from '@mneme/core-tensor'
import { mul, sigmoid, type Tensor, type Variable } from '@tensorflow/tfjs-core'
import { along, mixShift, mixStart, type RwkvDepth, shareOfDepth } from './rwkv-shift.js'

export interface Rwkv4Options extends RwkvDepth {
  readonly dModel: number
  /** Width of keys, values and receptance. */
  readonly dInner: number
  readonly projection?: LinearOptions
}

export type Rwkv4State = {
  /** The last input, `[B, D]`. */
  readonly last: Tensor
  /** Sums over past values and past weights, `[B, A]`, both divided by e^max. */
  readonly num: Tensor
  readonly den: Tensor
  readonly max: Tensor
}

/** `max` where nothing was seen. */
const EMPTY = -1e38

/**
 * Time mixing of RWKV-4: an average of past values, channel by channel, whose weights fade at a learned rate.
 *
 *   o_t = W_o(σ(r_t) ⊙ wkv_t),   wkv_t = (Σ_{i<t} e^{(t−1−i) w + k_i} v_i + e^{u + k_t} v_t) / (the same without v)
 *   r, k, v = W(m ⊙ x_t + (1 − m) ⊙ x_{t-1}), each with its own m,   w = −e^{time decay}
 *
 * State: the last input `[B, D]` and three sums `[B, A]`, constant in T. Time O(T D A), decoding O(D A).
 * Paper: Peng et al. 2023, arXiv:2305.13048, section 3.1.
 */
export class Rwkv4TimeMix extends Module implements SequenceMixer<Rwkv4State> {
  readonly traits: MixerTraits = { causal: true, padding: true, constantState: true }
  readonly timeDecay: Variable
  readonly timeFirst: Variable
  readonly timeMixKey: Variable
  readonly timeMixValue: Variable
  readonly timeMixReceptance: Variable
  readonly key: Linear
  readonly value: Linear
  readonly receptance: Linear
  readonly output: Linear

  constructor(
    private readonly options: Rwkv4Options,
    rng: Rng,
  ) {
    super()
    const { dModel: D, dInner: A, projection = { bias: false } } = options
    const { rising, falling } = shareOfDepth(options)
    this.timeDecay = parameter(draw([A], (i) => -5 + 8 * along(i, A) ** (0.7 + 1.3 * rising)))
    this.timeFirst = parameter(draw([A], (i) => Math.log(0.3) + 0.5 * (((i + 1) % 3) - 1)))
    this.timeMixKey = mixStart(D, falling, 'current')
    this.timeMixValue = mixStart(D, falling, 'current', 0.3 * rising)
    this.timeMixReceptance = mixStart(D, falling / 2, 'current')
    this.key = new Linear(D, A, rng, projection)
    this.value = new Linear(D, A, rng, projection)
    this.receptance = new Linear(D, A, rng, projection)
    this.output = new Linear(A, D, rng, projection)
  }

  initialState(batch: number): Rwkv4State {
    const { dModel: D, dInner: A } = this.options
    return {
      last: constant([batch, D], 0),
      num: constant([batch, A], 0),
      den: constant([batch, A], 0),
      max: constant([batch, A], EMPTY),
    }
  }

  forward(x: Tensor, state?: Rwkv4State, pass?: Pass): Mixed<Rwkv4State> {
    const { B, T } = dims('Rwkv4TimeMix.forward x', x, 'B T D', { D: this.options.dModel })
    const { last, ...sums } = state ?? this.initialState(B)
    const gaps = gapsOf('Rwkv4TimeMix.forward', pass, B, T)
    const shift = previousTokens(x, last, gaps)
    const mixed = (mix: Tensor): Tensor => mixShift(x, shift.previous, mix, 'current')
    const { y, ...after } = wkv4({
      k: this.key.forward(mixed(this.timeMixKey)),
      v: this.value.forward(mixed(this.timeMixValue)),
      timeDecay: this.timeDecay,
      timeFirst: this.timeFirst,
      ...(gaps && { resets: gaps.starts, mask: gaps.tokens }),
      ...sums,
    })
    const gate = sigmoid(this.receptance.forward(mixed(this.timeMixReceptance)))
    pass?.record?.record('receptance', gate)
    pass?.record?.record('read', y)
    return { y: this.output.forward(mul(gate, y)), state: { last: shift.last, ...after } }
  }

  stateBytes(): number {
    return 4 * (this.options.dModel + 3 * this.options.dInner)
  }
}
