import { cast, reshape, type Tensor, type Variable } from '@tensorflow/tfjs-core'
import { normal } from '../init.js'
import { Module, parameter } from '../module.js'
import { embedding } from '../ops/embedding.js'
import type { Rng } from '../rng.js'

/** A table of vectors, `[V, D]`, looked up by whole numbers. */
export class Embedding extends Module {
  readonly weight: Variable

  constructor(vocabulary: number, dModel: number, rng: Rng, std = 1) {
    super()
    this.weight = parameter(normal(rng, [vocabulary, dModel], std))
  }

  /** int32 `[...]` to `[..., D]`. */
  forward(ids: Tensor): Tensor {
    const flat = reshape(ids.dtype === 'int32' ? ids : cast(ids, 'int32'), [-1])
    return reshape(embedding({ table: this.weight, ids: flat }).y, [...ids.shape, this.weight.shape[1] as number])
  }
}
