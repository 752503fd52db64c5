import { add, mul, reshape, slice, type Tensor, type Variable, zeros } from '@tensorflow/tfjs-core'
import { constant, linearUniform } from '../init.js'
import type { Pass } from '../mixer.js'
import { Module, parameter } from '../module.js'
import { shortConv } from '../ops/short-conv.js'
import type { Rng } from '../rng.js'
import { dims, wholeNumber } from '../shape.js'
import { type Gaps, gapsOf, latestTokens } from './padding.js'

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
    wholeNumber('ShortConv width', width, 'tokens', 2)
    this.weight = parameter(linearUniform(rng, [channels, width], width))
    this.bias = (options.bias ?? false) ? parameter(constant([channels], 0)) : null
  }

  /** The inputs before the first token: zeros, `[B, W - 1, D]`. */
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

  private overGaps(x: Tensor, tail: Tensor, gaps: Gaps): { y: Tensor; tail: Tensor } {
    const latest = latestTokens(x, tail, gaps)
    const y = latest.lags.map((tokens, j) => mul(tokens, this.tap(this.width - 1 - j))).reduce((a, b) => add(a, b))
    return { y: this.bias ? add(y, this.bias) : y, tail: latest.tail }
  }

  /** Weight of the token `lag` places back, `[D]`. */
  private tap(lag: number): Tensor {
    return reshape(slice(this.weight, [0, this.width - 1 - lag], [this.channels, 1]), [this.channels])
  }
}

/** A convolution of so many taps, without bias; none where the width is 0. */
export function shortConvOf(channels: number, width: number, rng: Rng): ShortConv | null {
  return width > 0 ? new ShortConv(channels, width, rng) : null
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

/** Convolutions of queries, keys and values; C is null where there are none. */
export interface QkvConvs<C extends ShortConv | null = ShortConv | null> {
  readonly qConv: C
  readonly kConv: C
  readonly vConv: C
}

/** What a convolution keeps: nothing where there is none. */
export type Tail<C extends ShortConv | null> = C extends ShortConv ? Tensor : null

/** Last inputs of the convolutions of queries, keys and values, oldest first; null without them. */
export type QkvTails<T extends Tensor | null = Tensor | null> = {
  readonly qTail: T
  readonly kTail: T
  readonly vTail: T
}

/** Tails before the first token. */
export function emptyTails<C extends ShortConv | null>(convs: QkvConvs<C>, batch: number): QkvTails<Tail<C>> {
  const tail = (conv: C): Tail<C> => (conv?.initialState(batch) ?? null) as Tail<C>
  return { qTail: tail(convs.qConv), kTail: tail(convs.kConv), vTail: tail(convs.vConv) }
}

/** Queries, keys and values, each through its convolution where there is one, and the tails after them. */
export function convolvedQkv<C extends ShortConv | null>(
  { qConv, kConv, vConv }: QkvConvs<C>,
  projected: { readonly q: Tensor; readonly k: Tensor; readonly v: Tensor },
  { qTail, kTail, vTail }: QkvTails,
  pass?: Pass,
): { readonly q: Tensor; readonly k: Tensor; readonly v: Tensor; readonly tails: QkvTails<Tail<C>> } {
  const q = convolved(qConv, projected.q, qTail, pass)
  const k = convolved(kConv, projected.k, kTail, pass)
  const v = convolved(vConv, projected.v, vTail, pass)
  const tails = { qTail: q.tail, kTail: k.tail, vTail: v.tail } as QkvTails<Tail<C>>
  return { q: q.y, k: k.y, v: v.y, tails }
}

/** Bytes of the tails of one row. */
export function tailBytes(...convs: readonly (ShortConv | null)[]): number {
  return convs.reduce((total, conv) => total + (conv === null ? 0 : 4 * (conv.width - 1) * conv.channels), 0)
}
