import { type LinearOptions, type QkvTails, type RMSNorm, silu } from '@mneme/core-tensor'
import { expandDims, mul, ones, reshape, type Tensor } from '@tensorflow/tfjs-core'

/** Of a matrix memory of heads, whose queries, keys and values may pass short convolutions. */
export interface MatrixMemoryOptions {
  readonly dModel: number
  readonly nHeads: number
  /** Whether the readout is multiplied by silu(W_g x). */
  readonly outputGate: boolean
  readonly normEps: number
  /** Tokens a block of matrix products; changes cost, not results. */
  readonly chunk: number
  readonly projection?: LinearOptions
}

export type MatrixMemoryState<T extends Tensor | null = Tensor | null> = QkvTails<T> & {
  /** `[B, H, K, V]` */
  readonly memory: Tensor
}

/** Each head of `[B, T, H, K]` `times` times in a row. */
export function repeated(x: Tensor, times: number): Tensor {
  if (times === 1) return x
  const [B, T, H, K] = x.shape as [number, number, number, number]
  return reshape(mul(expandDims(x, 3), ones([1, 1, 1, times, 1])), [B, T, H * times, K])
}

/**
 * Heads joined to one vector a token, `[B, T, H, V]` to `[B, T, H V]`: each is normalised by itself, and multiplied by
 * `silu(gate)` where there is a gate.
 */
export function gatedReadout(o: Tensor, norm: RMSNorm, gate?: Tensor): Tensor {
  const [B, T, H, V] = o.shape as [number, number, number, number]
  const read = reshape(norm.forward(o), [B, T, H * V])
  return gate === undefined ? read : mul(read, silu(gate))
}

/** Width of a head, where all of them together are `expand` times as wide as the model. */
export function headWidth(name: string, dModel: number, expand: number, nHeads: number): number {
  const width = Math.trunc(dModel * expand)
  if (width < nHeads || width % nHeads !== 0) {
    throw new RangeError(`${name}: expected dModel times it in whole heads of ${nHeads}, got ${width}.`)
  }
  return width / nHeads
}
