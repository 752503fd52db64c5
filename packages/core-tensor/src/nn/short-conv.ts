import {
  add,
  concat,
  expandDims,
  mul,
  ones,
  reshape,
  slice,
  sub,
  type Tensor,
  type Variable,
  zeros,
} from '@tensorflow/tfjs-core'
import { constant, linearUniform } from '../init.js'
import type { Pass } from '../mixer.js'
import { Module, parameter } from '../module.js'
import { linearScan } from '../ops/linear-scan.js'
import { shortConv } from '../ops/short-conv.js'
import type { Rng } from '../rng.js'
import { dims } from '../shape.js'
import { type Gaps, gapsOf } from './padding.js'

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

  /**
   * With gaps, the j-th last token is a recurrence along time: at a token, what was the (j-1)-th last moves to place j;
   * at padding every place stays; a token that starts anew sees empty places.
   */
  private overGaps(x: Tensor, tail: Tensor, { tokens, starts }: Gaps): { y: Tensor; tail: Tensor } {
    const [B, T, D] = x.shape as [number, number, number]
    const isToken = expandDims(tokens, 2)
    const open = expandDims(sub(1, starts), 2)
    const stays = mul(sub(1, isToken), ones([B, T, D]))
    let lag = x
    let y = mul(lag, this.tap(0))
    const places: Tensor[] = []
    for (let j = 1; j < this.width; j++) {
      const before = slice(tail, [0, this.width - 1 - j, 0], [B, 1, D])
      const place = linearScan({ a: stays, b: mul(lag, isToken), h0: reshape(before, [B, D]) }).h
      places.unshift(slice(place, [0, T - 1, 0], [B, 1, D]))
      lag = mul(T === 1 ? before : concat([before, slice(place, [0, 0, 0], [B, T - 1, D])], 1), open)
      y = add(y, mul(lag, this.tap(j)))
    }
    return { y: this.bias ? add(y, this.bias) : y, tail: concat(places, 1) }
  }

  /** Weight of the token `lag` places back, `[D]`. */
  private tap(lag: number): Tensor {
    return reshape(slice(this.weight, [0, this.width - 1 - lag], [this.channels, 1]), [this.channels])
  }
}

/** Through the convolution, where there is one. */
export function convolved(
  conv: ShortConv | null,
  x: Tensor,
  tail: Tensor | null,
  pass?: Pass,
): { readonly y: Tensor; readonly tail: Tensor | null } {
  return conv === null || tail === null ? { y: x, tail: null } : conv.forward(x, tail, pass)
}
