import {
  dims,
  Linear,
  type Mixed,
  type MixerTraits,
  Module,
  type Pass,
  type Rng,
  type SequenceMixer,
  ShortConv,
  tailBytes,
} from '@mneme/core-tensor'
import type { Tensor } from '@tensorflow/tfjs-core'

/**
 * A causal convolution along time, channel by channel, then a linear map: sees the last W tokens and nothing before.
 *
 *   y_t = W_o (Σ_{j < W} w_j ⊙ x_{t-j} + c) + b
 *
 * w `[D, W]`, W_o `[D, D]`. State: the last W − 1 inputs, `[B, W − 1, D]`, constant in T. Time O(T D (W + D)). No paper's:
 * what any memory is to be measured against.
 */
export class ConvMixer extends Module implements SequenceMixer<Tensor> {
  readonly traits: MixerTraits = { causal: true, padding: true, constantState: true }
  readonly depthwise: ShortConv
  readonly pointwise: Linear

  constructor(
    private readonly dModel: number,
    width: number,
    rng: Rng,
  ) {
    super()
    this.depthwise = new ShortConv(dModel, width, rng, { bias: true })
    this.pointwise = new Linear(dModel, dModel, rng)
  }

  initialState(batch: number): Tensor {
    return this.depthwise.initialState(batch)
  }

  forward(x: Tensor, state?: Tensor, pass?: Pass): Mixed<Tensor> {
    const { B } = dims('ConvMixer.forward x', x, 'B T D', { D: this.dModel })
    const { y, tail } = this.depthwise.forward(x, state ?? this.initialState(B), pass)
    return { y: this.pointwise.forward(y), state: tail }
  }

  stateBytes(): number {
    return tailBytes(this.depthwise)
  }
}
