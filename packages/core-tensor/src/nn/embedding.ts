import { cast, equal, expandDims, reshape, scalar, type Tensor, type Variable, where } from '@tensorflow/tfjs-core'
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

  /** @param unlearned a row that learns nothing from being looked up: PyTorch's `padding_idx` */
  constructor(
    vocabulary: number,
    dModel: number,
    rng: Rng,
    std = 1,
    private readonly unlearned: number | null = null,
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
    const y = this.unlearned === null ? rows : where(this.isUnlearned(flat), stopGradient(rows), rows)
    return reshape(y, [...ids.shape, this.weight.shape[1] as number])
  }

  private isUnlearned(ids: Tensor): Tensor {
    return expandDims(equal(ids, scalar(this.unlearned as number, 'int32')), 1)
  }
}
