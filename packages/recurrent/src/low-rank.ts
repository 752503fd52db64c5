import { type Activation, Linear, type LinearOptions, Module, type Rng } from '@mneme/core-tensor'
import type { Tensor } from '@tensorflow/tfjs-core'

export interface LowRankOptions {
  readonly rank: number
  readonly activation?: Activation
  /** Whether the result has a bias. */
  readonly bias: boolean
  readonly projection?: LinearOptions
}

/** `W_up f(W_down x) + b`: a map that costs and holds (in + out) · rank. */
export class LowRank extends Module {
  readonly down: Linear
  readonly up: Linear

  constructor(
    dIn: number,
    dOut: number,
    rng: Rng,
    private readonly options: LowRankOptions,
  ) {
    super()
    const { rank, bias, projection } = options
    this.down = new Linear(dIn, rank, rng, { ...projection, bias: false })
    this.up = new Linear(rank, dOut, rng, { ...projection, bias })
  }

  /** `[..., D]` to `[..., D out]` through the narrow middle. */
  forward(x: Tensor): Tensor {
    const low = this.down.forward(x)
    return this.up.forward(this.options.activation ? this.options.activation(low) : low)
  }
}
