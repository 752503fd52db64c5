import { Module, normal, parameter, type Rng } from '@mneme/core-tensor'
import { gather, type Tensor, tensor1d, transpose, type Variable } from '@tensorflow/tfjs-core'

/**
 * Slopes of linear biases, one a head: 2^(-8h/H) where H is a power of two; else those of the power of two below,
 * followed by every other one of the power above. Press et al. 2021, arXiv:2108.12409, section 3.
 */
export function alibiSlopes(nHeads: number): number[] {
  const powers = (H: number): number[] => Array.from({ length: H }, (_, h) => 2 ** ((-8 * (h + 1)) / H))
  const below = 2 ** Math.floor(Math.log2(nHeads))
  const between = powers(2 * below).filter((_, h) => h % 2 === 0)
  return [...powers(below), ...between.slice(0, nHeads - below)]
}

/** Scores that go by the distance of a key, as inputs of `softmaxAttention`. */
export interface DistanceBias {
  inputs(): { readonly slopes: Tensor } | { readonly relativeBias: Tensor }
}

/** Scores fall by a fixed slope for each head and token of distance: `alibiSlopes`. */
export class Alibi implements DistanceBias {
  private readonly slopes: readonly number[]

  constructor(nHeads: number) {
    this.slopes = alibiSlopes(nHeads)
  }

  /** Slopes, `[H]`. */
  inputs(): { readonly slopes: Tensor } {
    return { slopes: tensor1d([...this.slopes]) }
  }
}

export interface T5BiasOptions {
  readonly nHeads: number
  readonly buckets: number
  /** Distances from here on share the last bucket. */
  readonly maxDistance: number
  /** Whether keys after the query have buckets of their own. */
  readonly bothWays?: boolean
}

/**
 * The bucket of each distance from 0 up to `maxDistance`: half of them hold one distance each, the others ranges that
 * widen on a logarithmic scale.
 */
export function t5Buckets(buckets: number, maxDistance: number): number[] {
  const exact = Math.floor(buckets / 2)
  return Array.from({ length: maxDistance + 1 }, (_, n) => {
    if (n < exact) return n
    const share = Math.log(n / exact) / Math.log(maxDistance / exact)
    return Math.min(buckets - 1, exact + Math.floor(share * (buckets - exact)))
  })
}

/**
 * A learned bias by distance in buckets, b_{i-j} = w[bucket(i − j)] for each head; layers may share it. Weight `[buckets, H]`.
 * A table costs R H lookups for R distances. Of the buckets of a table
 * for both ways, the first half is for keys before the query or at it, the second for keys after it; else all keys after
 * it share the bucket of distance 0.
 * Raffel et al. 2019, arXiv:1910.10683, section 2.1.
 */
export class T5Bias extends Module implements DistanceBias {
  readonly weight: Variable
  private readonly before: readonly number[]
  private readonly after: readonly number[]

  constructor({ nHeads, buckets, maxDistance, bothWays = false }: T5BiasOptions, rng: Rng) {
    super()
    this.weight = parameter(normal(rng, [buckets, nHeads], 1))
    this.before = t5Buckets(bothWays ? buckets / 2 : buckets, maxDistance)
    this.after = this.before.slice(1).map((bucket) => (bothWays ? buckets / 2 + bucket : 0))
  }

  /** Its table, `[H, R]`. */
  inputs(): { readonly relativeBias: Tensor } {
    return { relativeBias: this.table() }
  }

  /** Bias of every distance from 0 on, `[H, R]`; the last column is that of all greater ones. */
  table(): Tensor {
    return this.columns(this.before)
  }

  /** The same for keys after the query too, the farthest first; distance 0 is column `ahead`. */
  tableBothWays(): { readonly relativeBias: Tensor; readonly ahead: number } {
    const columns = [...[...this.after].reverse(), ...this.before]
    return { relativeBias: this.columns(columns), ahead: this.after.length }
  }

  private columns(buckets: readonly number[]): Tensor {
    return transpose(gather(this.weight, tensor1d([...buckets], 'int32')))
  }
}
