import {
  constant,
  dims,
  gapsOf,
  Linear,
  type LinearOptions,
  type Mixed,
  type MixerTraits,
  Module,
  type Pass,
  previousTokens,
  type Rng,
  type SequenceMixer,
} from '@mneme/core-tensor'
import { mul, relu, sigmoid, square, type Tensor, type Variable } from '@tensorflow/tfjs-core'
import { mixShift, mixStart, type RwkvDepth, shareOfDepth } from './rwkv-shift.js'

export interface RwkvChannelMixOptions extends RwkvDepth {
  readonly dModel: number
  readonly dInner: number
  /** Whose share the mixes are: of the current token up to RWKV-5, of the one before from RWKV-6 on. */
  readonly mixOf: 'current' | 'previous'
  /** A gate on the result, which RWKV-7 has not. */
  readonly receptance: boolean
  readonly projection?: LinearOptions
}

/**
 * Channel mixing of RWKV: a feed-forward that also sees the token before.
 *
 *   y_t = σ(W_r x'_t) ⊙ W_v relu(W_k x''_t)²,   x', x'' each a learned blend of x_t and x_{t-1}
 *
 * State: the last input `[B, D]`, constant in T. Time O(T D F).
 * Paper: Peng et al. 2023, arXiv:2305.13048, section 3.1.3.
 */
export class RwkvChannelMix extends Module implements SequenceMixer<Tensor> {
  readonly traits: MixerTraits = { causal: true, padding: true, constantState: true }
  readonly timeMixKey: Variable
  readonly timeMixReceptance: Variable | null
  readonly key: Linear
  readonly receptance: Linear | null
  readonly value: Linear

  constructor(
    private readonly options: RwkvChannelMixOptions,
    rng: Rng,
  ) {
    super()
    const { dModel: D, dInner: F, mixOf, receptance, projection = { bias: false } } = options
    const { falling } = shareOfDepth(options)
    this.timeMixKey = mixStart(D, falling, mixOf)
    this.timeMixReceptance = receptance ? mixStart(D, falling, mixOf) : null
    this.key = new Linear(D, F, rng, projection)
    this.receptance = receptance ? new Linear(D, D, rng, projection) : null
    this.value = new Linear(F, D, rng, projection)
  }

  initialState(batch: number): Tensor {
    return constant([batch, this.options.dModel], 0)
  }

  forward(x: Tensor, state?: Tensor, pass?: Pass): Mixed<Tensor> {
    const { dModel, mixOf } = this.options
    const { B, T } = dims('RwkvChannelMix.forward x', x, 'B T D', { D: dModel })
    const { previous: before, last } = previousTokens(
      x,
      state ?? this.initialState(B),
      gapsOf('RwkvChannelMix.forward', pass, B, T),
    )
    const hidden = square(relu(this.key.forward(mixShift(x, before, this.timeMixKey, mixOf))))
    const y = this.value.forward(hidden)
    if (this.receptance === null || this.timeMixReceptance === null) return { y, state: last }
    const gate = sigmoid(this.receptance.forward(mixShift(x, before, this.timeMixReceptance, mixOf)))
    return { y: mul(gate, y), state: last }
  }

  stateBytes(): number {
    return 4 * this.options.dModel
  }
}
