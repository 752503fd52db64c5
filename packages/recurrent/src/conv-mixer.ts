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
 * A causal convolution along time, channel by channel, then a linear map: sees the last `width` tokens.
 * State: the last width - 1 inputs, `[B, width - 1, D]`. Time O(T D (width + D)).
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
