import { add, matMul, reshape, type Tensor, type Tensor2D, type Variable } from '@tensorflow/tfjs-core'
import { linearUniform, normal } from '../init.js'
import { Module, parameter } from '../module.js'
import type { Rng } from '../rng.js'

export interface LinearOptions {
  readonly bias?: boolean
  /** Initial weight; PyTorch's uniform by default. */
  readonly init?: (rng: Rng, shape: readonly number[]) => Tensor
}

/**
 * `y = x Wᵀ + b` over the last axis. The weight is `[out, in]`, as PyTorch stores it, so that published checkpoints load
 * without a transpose and decoding reads it row by row.
 */
export class Linear extends Module {
  readonly weight: Variable
  readonly bias: Variable | null

  constructor(dIn: number, dOut: number, rng: Rng, { bias = true, init }: LinearOptions = {}) {
    super()
    this.weight = parameter((init ?? ((r, shape) => linearUniform(r, shape, dIn)))(rng, [dOut, dIn]))
    this.bias = bias ? parameter(linearUniform(rng, [dOut], dIn)) : null
  }

  /** `[..., in]` to `[..., out]`. */
  forward(x: Tensor): Tensor {
    return affine(x, this.weight, this.bias)
  }
}

/** `x Wᵀ + b` over the last axis, W `[out, in]`. */
export function affine(x: Tensor, weight: Tensor, bias?: Tensor | null): Tensor {
  const dIn = weight.shape[1] as number
  const dOut = weight.shape[0] as number
  const got = x.shape[x.rank - 1]
  if (got !== dIn) throw new RangeError(`Linear.forward x: expected [..., ${dIn}], got [${x.shape.join(', ')}].`)
  const rows = x.rank === 2 ? x : reshape(x, [-1, dIn])
  const product = matMul(rows as Tensor2D, weight as Tensor2D, false, true)
  const y = bias ? add(product, bias) : product
  return x.rank === 2 ? y : reshape(y, [...x.shape.slice(0, -1), dOut])
}

/** Normal weights of a given deviation, as most published decoders start. */
export const normalInit =
  (std: number) =>
  (rng: Rng, shape: readonly number[]): Tensor =>
    normal(rng, shape, std)
