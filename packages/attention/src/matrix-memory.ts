import {
  atTokens,
  constant,
  convolvedQkv,
  emptyTails,
  type Gaps,
  type Linear,
  type LinearOptions,
  type Mixed,
  type Pass,
  type QkvConvs,
  type QkvTails,
  type RMSNorm,
  type ShortConv,
  silu,
  type Tail,
  tailBytes,
} from '@mneme/core-tensor'
import { mul, ones, reshape, sigmoid, type Tensor } from '@tensorflow/tfjs-core'

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

/** The same, whose widths go by that of the model. */
export interface ExpandedMemoryOptions extends MatrixMemoryOptions {
  /** Width of all queries together, and of all values, over dModel. */
  readonly expandK: number
  readonly expandV: number
  /** Width of short convolutions on queries, keys and values; 0 for none. */
  readonly convWidth: number
}

/** The maps of such a memory, beside those of its gates. */
export interface MatrixMemoryMaps<C extends ShortConv | null> extends QkvConvs<C> {
  readonly qProj: Linear
  readonly kProj: Linear
  readonly vProj: Linear
  readonly gProj: Linear | null
  readonly oProj: Linear
}

/** Heads, and the widths of their keys and values. */
type MemorySizes = readonly [H: number, K: number, V: number]

/** Nothing stored, and nothing seen by the convolutions. */
export function emptyMemory<C extends ShortConv | null>(
  maps: MatrixMemoryMaps<C>,
  batch: number,
  sizes: MemorySizes,
): MatrixMemoryState<Tail<C>> {
  return { memory: constant([batch, ...sizes], 0), ...emptyTails(maps, batch) }
}

/** Bytes of one row. */
export function memoryBytes({ qConv, kConv, vConv }: QkvConvs, [H, K, V]: MemorySizes): number {
  return 4 * H * K * V + tailBytes(qConv, kConv, vConv)
}

/** Queries, keys and values of x `[B, T, D]`, behind the convolutions. */
export function projectedQkv<C extends ShortConv | null>(
  maps: MatrixMemoryMaps<C>,
  x: Tensor,
  tails: QkvTails,
  pass?: Pass,
): ReturnType<typeof convolvedQkv<C>> {
  const projected = { q: maps.qProj.forward(x), k: maps.kProj.forward(x), v: maps.vProj.forward(x) }
  return convolvedQkv(maps, projected, tails, pass)
}

/**
 * How much of an error the delta rule corrects, β = σ(W_b x) `[B, T, H]`: twice that where transitions may have negative
 * eigenvalues, all of it without a map, and nothing at padding.
 */
export function correction(
  bProj: Linear | null,
  x: Tensor,
  { nHeads, allowNegEigval }: { readonly nHeads: number; readonly allowNegEigval: boolean },
  gaps: Gaps | null,
): Tensor {
  const [B, T] = x.shape as [number, number]
  const beta = bProj ? sigmoid(bProj.forward(x)) : ones([B, T, nHeads])
  return atTokens(allowNegEigval ? mul(beta, 2) : beta, gaps)
}

/**
 * What a memory has read, `o` `[B, T, H, V]`, on its way out: each head is normalised by itself and multiplied by silu(W_g x)
 * where there is that map; and the state after it.
 */
export function readOut<T extends Tensor | null>(
  { gProj, oProj }: Pick<MatrixMemoryMaps<ShortConv | null>, 'gProj' | 'oProj'>,
  norm: RMSNorm,
  x: Tensor,
  { o, state: memory }: { readonly o: Tensor; readonly state: Tensor },
  tails: QkvTails<T>,
  pass?: Pass,
): Mixed<MatrixMemoryState<T>> {
  pass?.record?.record('memory', memory)
  const [B, T, H, V] = o.shape as [number, number, number, number]
  const read = reshape(norm.forward(o), [B, T, H * V])
  return { y: oProj.forward(gProj ? mul(read, silu(gProj.forward(x))) : read), state: { memory, ...tails } }
}

/** Width of a head, where all of them together are `expand` times as wide as the model. */
export function headWidth(name: string, dModel: number, expand: number, nHeads: number): number {
  const width = Math.trunc(dModel * expand)
  if (width < nHeads || width % nHeads !== 0) {
    throw new RangeError(`${name}: expected dModel times it in whole heads of ${nHeads}, got ${width}.`)
  }
  return width / nHeads
}
