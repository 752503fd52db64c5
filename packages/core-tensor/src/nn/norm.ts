import { add, mul, reshape, type Tensor, type Variable } from '@tensorflow/tfjs-core'
import { constant } from '../init.js'
import { Module, parameter } from '../module.js'
import { layerNorm } from '../ops/layer-norm.js'
import { rmsNorm } from '../ops/rms-norm.js'
import { timesOf } from '../shape.js'

/** PyTorch's epsilon where a module gives none: the spacing of float32 at 1. */
export const FLOAT_EPSILON = 2 ** -23

/**
 * Root mean square normalisation over the last axis, or each of `groups` equal parts of it, any rank. Where `offset` is
 * 1, the weight is what a channel's factor has beyond 1, and starts at 0. Source: arXiv:1910.07467.
 */
export class RMSNorm extends Module {
  readonly weight: Variable

  constructor(
    readonly width: number,
    readonly eps = 1e-6,
    readonly groups = 1,
    readonly offset: 0 | 1 = 0,
  ) {
    super()
    timesOf('RMSNorm width', width, 'groups', groups)
    this.weight = parameter(constant([width], 1 - offset))
  }

  /** `[..., D]` to `[..., D]`. */
  forward(x: Tensor): Tensor {
    const weight = beyond(this.offset, this.weight)
    if (this.groups === 1) return rmsNorm({ x, weight }, { eps: this.eps }).y
    const normed = rmsNorm({ x: reshape(x, [-1, this.width / this.groups]) }, { eps: this.eps }).y
    return mul(reshape(normed, x.shape), weight)
  }
}

/** A channel's factor, where a norm keeps it as what it has beyond `offset`. */
const beyond = (offset: number, weight: Tensor): Tensor => (offset === 0 ? weight : add(weight, offset))

export interface NormOptions {
  /** `fixed`: zeros that checkpoints hold and training leaves alone. */
  readonly bias?: boolean | 'fixed'
  /** 1 where the weight is what a channel's factor has beyond 1, and starts at 0. */
  readonly offset?: 0 | 1
}

/** Layer normalisation over the last axis, any rank. Source: arXiv:1607.06450. */
export class LayerNorm extends Module {
  readonly weight: Variable
  readonly bias: Variable | null
  private readonly offset: 0 | 1

  constructor(
    width: number,
    readonly eps = 1e-5,
    { bias = true, offset = 0 }: NormOptions = {},
  ) {
    super()
    this.offset = offset
    this.weight = parameter(constant([width], 1 - offset))
    this.bias = bias ? parameter(constant([width], 0), bias !== 'fixed') : null
  }

  /** `[..., D]` to `[..., D]`. */
  forward(x: Tensor): Tensor {
    const weight = beyond(this.offset, this.weight)
    return layerNorm({ x, weight, ...(this.bias && { bias: this.bias }) }, { eps: this.eps }).y
  }
}

/** Normalises each of `groups` equal parts of the last axis by itself, then scales and shifts channel by channel. */
export class GroupNorm extends Module {
  readonly weight: Variable
  readonly bias: Variable | null
  private readonly offset: 0 | 1

  constructor(
    readonly groups: number,
    readonly width: number,
    readonly eps = 1e-5,
    { bias = true, offset = 0 }: NormOptions = {},
  ) {
    super()
    timesOf('GroupNorm width', width, 'groups', groups)
    this.offset = offset
    this.weight = parameter(constant([width], 1 - offset))
    this.bias = bias ? parameter(constant([width], 0)) : null
  }

  /** `[..., D]` to `[..., D]`. */
  forward(x: Tensor): Tensor {
    const normed = layerNorm({ x: reshape(x, [-1, this.width / this.groups]) }, { eps: this.eps }).y
    const scaled = mul(reshape(normed, x.shape), beyond(this.offset, this.weight))
    return this.bias ? add(scaled, this.bias) : scaled
  }
}

export type Norm = RMSNorm | LayerNorm | GroupNorm

/** `x / sqrt(Σ x² + 1e-6)` over the last axis, any rank. */
export function unitLength(x: Tensor): Tensor {
  const width = x.shape[x.rank - 1] as number
  // a root mean square norm is a unit vector times sqrt(width)
  const normed = rmsNorm({ x: reshape(x, [-1, width]) }, { eps: 1e-6 / width }).y
  return reshape(mul(normed, width ** -0.5), x.shape)
}
