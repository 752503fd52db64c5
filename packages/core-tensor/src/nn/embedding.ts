import { add, cast, expandDims, mul, notEqual, reshape, sub, type Tensor, type Variable } from '@tensorflow/tfjs-core'
import { normal } from '../init.js'
import { Module, parameter } from '../module.js'
import { embedding } from '../ops/embedding.js'
import type { Rng } from '../rng.js'
import { stopGradient } from '../state.js'

/** Vectors for tokens. */
export interface TokenEmbedding extends Module {
  readonly vocabulary: number
  /** int32 `[B, T]` to `[B, T, D]`. */
  forward(ids: Tensor): Tensor
}

/** A table of vectors, `[V, D]`, looked up by whole numbers. */
export class Embedding extends Module implements TokenEmbedding {
  readonly weight: Variable

  constructor(
    vocabulary: number,
    dModel: number,
    rng: Rng,
    std = 1,
    /** The row of padding, which lookups do not teach. */
    private readonly paddingId: number | null = null,
  ) {
    super()
    this.weight = parameter(normal(rng, [vocabulary, dModel], std))
  }

  get vocabulary(): number {
    return this.weight.shape[0] as number
  }

  /** int32 `[...]` to `[..., D]`. */
  forward(ids: Tensor): Tensor {
    const flat = reshape(ids.dtype === 'int32' ? ids : cast(ids, 'int32'), [-1])
    const rows = embedding({ table: this.weight, ids: flat }).y
    const y = this.paddingId === null ? rows : this.untaught(rows, flat, this.paddingId)
    return reshape(y, [...ids.shape, this.weight.shape[1] as number])
  }

  private untaught(rows: Tensor, ids: Tensor, paddingId: number): Tensor {
    const taught = expandDims(cast(notEqual(ids, paddingId), 'float32'), 1)
    return add(mul(rows, taught), mul(stopGradient(rows), sub(1, taught)))
  }
}
