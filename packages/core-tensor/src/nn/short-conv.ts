import { add, concat, expandDims, mul, reshape, slice, type Tensor, type Variable, zeros } from '@tensorflow/tfjs-core'
import { constant, linearUniform } from '../init.js'
import type { Pass } from '../mixer.js'
import { Module, parameter } from '../module.js'
import { shortConv } from '../ops/short-conv.js'
import type { Rng } from '../rng.js'
import { dims } from '../shape.js'
import { type Gaps, gapsOf, previousTokens } from './padding.js'

/**
 * Short causal depthwise convolution that remembers its last inputs: state is the tail `[B, width - 1, D]`, oldest
 * first. Padding is stepped over, wherever it stands, and a reset forgets the tail.
 */
export class ShortConv extends Module {
  readonly weight: Variable
  readonly bias: Variable | null

  constructor(
    readonly channels: number,
    readonly width: number,
    rng: Rng,
    options: { readonly bias?: boolean } = {},
  ) {
    super()
    if (width < 2) throw new RangeError(`ShortConv width: expected at least 2, got ${width}.`)
    this.weight = parameter(linearUniform(rng, [channels, width], width))
    this.bias = (options.bias ?? false) ? parameter(constant([channels], 0)) : null
  }

  initialState(batch: number): Tensor {
    return zeros([batch, this.width - 1, this.channels])
  }

  /** x `[B, T, D]`, tail `[B, width - 1, D]`. */
  forward(x: Tensor, tail: Tensor, pass?: Pass): { y: Tensor; tail: Tensor } {
    const { B, T } = dims('ShortConv.forward x', x, 'B T D', { D: this.channels })
    const gaps = gapsOf('ShortConv.forward', pass, B, T)
    if (gaps !== null) return this.overGaps(x, tail, gaps)
    return shortConv({ x, weight: this.weight, ...(this.bias && { bias: this.bias }), tail })
  }

  /** With gaps, the j-th last token is what the (j-1)-th last was one token before. */
  private overGaps(x: Tensor, tail: Tensor, gaps: Gaps): { y: Tensor; tail: Tensor } {
    const [B, , D] = x.shape as [number, number, number]
    let lag = x
    let y = mul(lag, this.tap(0))
    const places: Tensor[] = []
    for (let j = 1; j < this.width; j++) {
      const before = reshape(slice(tail, [0, this.width - 1 - j, 0], [B, 1, D]), [B, D])
      const { previous, last } = previousTokens(lag, before, gaps)
      places.unshift(expandDims(last, 1))
      lag = previous
      y = add(y, mul(lag, this.tap(j)))
    }
    return { y: this.bias ? add(y, this.bias) : y, tail: concat(places, 1) }
  }

  /** Weight of the token `lag` places back, `[D]`. */
  private tap(lag: number): Tensor {
    return reshape(slice(this.weight, [0, this.width - 1 - lag], [this.channels, 1]), [this.channels])
  }
}

/** Through a convolution where there is one, else unchanged; then there is no tail either. */
export function convolved(
  conv: ShortConv | null,
  x: Tensor,
  tail: Tensor | null,
  pass?: Pass,
): { readonly y: Tensor; readonly tail: Tensor | null } {
  return conv === null || tail === null ? { y: x, tail: null } : conv.forward(x, tail, pass)
}
