import { type Tensor, tidy, type Variable } from '@tensorflow/tfjs-core'
import { draw, linearUniform, normal } from '../init.js'
import { Module, parameter } from '../module.js'
import { affine } from '../ops/affine.js'
import type { Rng } from '../rng.js'

export interface LinearOptions {
  readonly bias?: boolean
  /** Initial weight; PyTorch's uniform by default. */
  readonly init?: (rng: Rng, shape: readonly number[]) => Tensor
  /** Initial bias; PyTorch's uniform by default. */
  readonly biasInit?: (rng: Rng, shape: readonly number[]) => Tensor
  /** False for a bias that nothing depends on: it is kept and stored, and learns nothing. */
  readonly biasTrainable?: boolean
}

/**
 * `y = x Wᵀ + b` over the last axis. The weight is `[out, in]`, as PyTorch stores it, so that published checkpoints load
 * without a transpose and decoding reads it row by row.
 */
export class Linear extends Module {
  readonly weight: Variable
  readonly bias: Variable | null

  constructor(
    dIn: number,
    dOut: number,
    rng: Rng,
    { bias = true, init, biasInit, biasTrainable = true }: LinearOptions = {},
  ) {
    super()
    const uniform = (_: Rng, shape: readonly number[]): Tensor => linearUniform(rng, shape, dIn)
    this.weight = parameter((init ?? uniform)(rng, [dOut, dIn]))
    this.bias = bias ? parameter((biasInit ?? uniform)(rng, [dOut]), biasTrainable) : null
  }

  /** `[..., in]` to `[..., out]`. */
  forward(x: Tensor): Tensor {
    return affine({ x, weight: this.weight, ...(this.bias && { bias: this.bias }) }).y
  }
}

/** Sets the bias of a map by place; what was drawn for it is lost, and later draws stay what they were. */
export function startBias({ bias }: Linear, value: (place: number) => number): void {
  if (bias) tidy(() => bias.assign(draw(bias.shape, value)))
}

/** Normal weights of a given deviation, as most published decoders start. */
export const normalInit =
  (std: number) =>
  (rng: Rng, shape: readonly number[]): Tensor =>
    normal(rng, shape, std)
