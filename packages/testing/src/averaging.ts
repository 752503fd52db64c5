import {
  dims,
  gapsOf,
  Linear,
  linearScan,
  type Mixed,
  type MixerTraits,
  Module,
  overGaps,
  type Pass,
  type Rng,
  type SequenceMixer,
  tokenAt,
} from '@mneme/core-tensor'
import { mul, sigmoid, sub, type Tensor, zeros } from '@tensorflow/tfjs-core'

/** The least that mixes along time, for whatever is built around a mixer: `h_t = a_t h_{t-1} + (1 - a_t) x_t`. */
export class Averaging extends Module implements SequenceMixer<Tensor> {
  readonly traits: MixerTraits = { causal: true, padding: true, constantState: true }
  readonly gate: Linear

  constructor(
    private readonly dModel: number,
    rng: Rng,
  ) {
    super()
    this.gate = new Linear(dModel, dModel, rng)
  }

  initialState(batch: number): Tensor {
    return zeros([batch, this.dModel])
  }

  forward(x: Tensor, state?: Tensor, pass?: Pass): Mixed<Tensor> {
    const { B, T } = dims('Averaging.forward x', x, 'B T D', { D: this.dModel })
    const open = sigmoid(this.gate.forward(x))
    const scan = overGaps(open, mul(sub(1, open), x), gapsOf('Averaging.forward', pass, B, T))
    const { h } = linearScan({ ...scan, h0: state ?? this.initialState(B) })
    return { y: h, state: tokenAt(h, T - 1) }
  }

  stateBytes(): number {
    return 4 * this.dModel
  }
}
