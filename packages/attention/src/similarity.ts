import { constant, Module, parameter, rmsNorm, unitLength } from '@mneme/core-tensor'
import { abs, mul, reshape, type Tensor, type Variable } from '@tensorflow/tfjs-core'

/**
 * What a query and a key have to do with each other: `dot`, q·k / √K; `cosine`, |s_h| cos(q, k) with one learned s a head;
 * `channels`, both at length 1 and scaled channel by channel, over √K.
 */
export type SimilarityKind = 'dot' | 'cosine' | 'channels'

const LEAST = 1e-20

/** Makes queries and keys ready for a softmax of their plain products. */
export class Similarity extends Module {
  /** `[H]` */
  readonly headScale: Variable | null
  /** `[K]` each. */
  readonly queryScale: Variable | null
  readonly keyScale: Variable | null

  constructor(
    private readonly kind: SimilarityKind,
    nHeads: number,
    private readonly dHead: number,
  ) {
    super()
    const ones = (size: number): Variable => parameter(constant([size], 1))
    this.headScale = kind === 'cosine' ? ones(nHeads) : null
    this.queryScale = kind === 'channels' ? ones(dHead) : null
    this.keyScale = kind === 'channels' ? ones(dHead) : null
  }

  /** `[B, T, H, K]` */
  queries(q: Tensor): Tensor {
    if (this.headScale) return mul(unitLength(q), reshape(abs(this.headScale), [-1, 1]))
    // a root mean square of 1 is a length of √K, which the scale of the scores takes away again, twice
    if (this.queryScale) return mul(mul(this.even(q), this.queryScale), 1 / this.dHead)
    return mul(q, this.dHead ** -0.5)
  }

  /** `[B, S, G, K]` */
  keys(k: Tensor): Tensor {
    if (this.kind === 'cosine') return unitLength(k)
    return this.keyScale ? mul(mul(this.even(k), this.keyScale), this.dHead ** -0.5) : k
  }

  /** A table of biases `[H, R]`, which counts like a cosine. */
  biases(table: Tensor): Tensor {
    return this.headScale ? mul(table, reshape(abs(this.headScale), [-1, 1])) : table
  }

  private even(x: Tensor): Tensor {
    return reshape(rmsNorm({ x: reshape(x, [-1, this.dHead]) }, { eps: LEAST }).y, x.shape)
  }
}
