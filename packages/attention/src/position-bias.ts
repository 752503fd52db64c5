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

export interface T5BiasOptions {
  readonly nHeads: number
  readonly buckets: number
  /** Distances from here on share the last bucket. */
  readonly maxDistance: number
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
 * A learned bias by distance in buckets, one a head; layers may share it. Weight `[buckets, H]`. Queries look back only.
 * Raffel et al. 2019, arXiv:1910.10683, section 2.1.
 */
export class T5Bias extends Module {
  readonly weight: Variable
  private readonly byDistance: readonly number[]

  constructor({ nHeads, buckets, maxDistance }: T5BiasOptions, rng: Rng) {
    super()
    this.weight = parameter(normal(rng, [buckets, nHeads], 1))
    this.byDistance = t5Buckets(buckets, maxDistance)
  }

  /** Bias of every distance from 0 on, `[H, R]`; the last column is that of all greater ones. */
  table(): Tensor {
    return transpose(gather(this.weight, tensor1d([...this.byDistance], 'int32')))
  }
}
