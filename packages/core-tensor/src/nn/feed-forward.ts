import { mul, type Tensor } from '@tensorflow/tfjs-core'
import { Module } from '../module.js'
import type { Rng } from '../rng.js'
import { type Activation, gelu, silu } from './activations.js'
import { Linear, type LinearOptions } from './linear.js'

/** A map of each token by itself. */
export interface TokenMap extends Module {
  /** `[..., D]` to `[..., D out]`. */
  forward(x: Tensor): Tensor
}

/** `down(silu(gate x) ⊙ up x)`. Source: Shazeer 2020, arXiv:2002.05202. */
export class SwiGLU extends Module implements TokenMap {
  readonly gateProj: Linear
  readonly upProj: Linear
  readonly downProj: Linear

  constructor(
    dModel: number,
    dInner: number,
    rng: Rng,
    options: LinearOptions = { bias: false },
    private readonly activation: Activation = silu,
  ) {
    super()
    this.gateProj = new Linear(dModel, dInner, rng, options)
    this.upProj = new Linear(dModel, dInner, rng, options)
    this.downProj = new Linear(dInner, dModel, rng, options)
  }

  /** `[..., D]` to `[..., D]`. */
  forward(x: Tensor): Tensor {
    return this.downProj.forward(mul(this.activation(this.gateProj.forward(x)), this.upProj.forward(x)))
  }
}

/** `down(activation(up x))`, the feed-forward of the first transformers; with a norm inside, `down(norm(activation(up x)))`. */
export class FeedForward extends Module implements TokenMap {
  readonly upProj: Linear
  readonly innerNorm: TokenMap | null
  readonly downProj: Linear

  constructor(
    dModel: number,
    dInner: number,
    rng: Rng,
    options: LinearOptions = {},
    private readonly activation: Activation = gelu,
    output: LinearOptions = options,
    innerNorm: TokenMap | null = null,
  ) {
    super()
    this.upProj = new Linear(dModel, dInner, rng, options)
    this.innerNorm = innerNorm
    this.downProj = new Linear(dInner, dModel, rng, output)
  }

  /** `[..., D]` to `[..., D]`. */
  forward(x: Tensor): Tensor {
    const h = this.activation(this.upProj.forward(x))
    return this.downProj.forward(this.innerNorm ? this.innerNorm.forward(h) : h)
  }
}
