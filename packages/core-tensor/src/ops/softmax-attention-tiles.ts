import {
  abs,
  add,
  cast,
  concat,
  cumsum,
  equal,
  gather,
  greaterEqual,
  less,
  logicalAnd,
  mul,
  neg,
  notEqual,
  pad,
  range,
  reshape,
  reverse,
  slice,
  sub,
  sum,
  type Tensor,
  type Tensor1D,
  tensor1d,
  tile,
  transpose,
  unsortedSegmentSum,
  zeros,
} from '@tensorflow/tfjs-core'
import { pieceOf, type Span } from './blocks.js'

export interface AttentionInputs {
  readonly q: Tensor
  readonly k: Tensor
  readonly v: Tensor
  /** Added to the scaled scores; batch and head axes may be 1. */
  readonly bias?: Tensor
  /** Added by distance: query i and key j get column i - j + `ahead`, or the nearest there is. */
  readonly relativeBias?: Tensor
  /** ALiBi: the score falls by the head's slope with every token of distance. */
  readonly slopes?: Tensor
  /** Logarithm of the forget gate of each key's token: the score falls by all gates after the key, up to the query. */
  readonly logForget?: Tensor
  /** A score of nothing: joins the denominator of every query. */
  readonly sinkLogits?: Tensor
  /** 1 for keys that may be seen, 0 for padding. */
  readonly keyMask?: Tensor
  /** Query and key see each other only where these agree: packed documents; padding is a document of its own. */
  readonly queryDocuments?: Tensor
  readonly keyDocuments?: Tensor
}

export interface AttentionAttrs {
  readonly causal: boolean
  /** Keys seen, the query's own included, to both sides if not causal; 0 for all. */
  readonly window: number
  /** First keys that stay visible beyond the window. */
  readonly sinks: number
  /** Multiplies q·k; 0 means K^-1/2. */
  readonly scale: number
  /** Scaled q·k becomes c tanh(q·k / c) before biases join; 0 for none. */
  readonly softCap: number
  /** Column of `relativeBias` for distance 0: how far ahead of the query its table reaches. */
  readonly ahead: number
  /** Queries, and keys, that the reference handles at a time. Changes cost, not results. */
  readonly block: number
}

/** What a query may not see is pushed down by this. */
export const MASKED = -1e30

/** A piece of the queries against a piece of the keys. */
export interface Tile {
  readonly queries: Span
  readonly keys: Span
  /** Position of the first query, where keys count from 0. */
  readonly position: number
}

/** Whether the tile's queries may see none, some or all of its keys, as far as positions say. */
export function sight({ queries, keys, position }: Tile, { causal, window, sinks }: AttentionAttrs): string {
  const nearest = position - (keys.begin + keys.size - 1)
  const farthest = position + queries.size - 1 - keys.begin
  if (causal && farthest < 0) return 'none'
  if (window > 0 && keys.begin >= sinks && (nearest >= window || farthest <= -window)) return 'none'
  const inWindow = window === 0 || keys.begin + keys.size <= sinks || (farthest < window && nearest > -window)
  return inWindow && (!causal || nearest >= 0) ? 'all' : 'some'
}

/** Position of the query less that of the key, `[t, s]`. */
function distances({ queries, keys, position }: Tile): Tensor {
  const rows = reshape(range(position, position + queries.size), [queries.size, 1])
  return sub(rows, reshape(range(keys.begin, keys.begin + keys.size), [1, keys.size]))
}

/** MASKED, or a multiple of it, where a query may not see a key, and 0 elsewhere; null where it may see all. */
export function closed(inputs: AttentionInputs, attrs: AttentionAttrs, place: Tile): Tensor | null {
  const { keyMask, queryDocuments, keyDocuments } = inputs
  const { queries, keys } = place
  const B = inputs.q.shape[0] as number
  const parts: Tensor[] = []
  if (sight(place, attrs) === 'some') {
    const apart = distances(place)
    if (attrs.causal) parts.push(less(apart, 0))
    if (attrs.window > 0) {
      const late = greaterEqual(range(keys.begin, keys.begin + keys.size), attrs.sinks) // [s]
      parts.push(logicalAnd(greaterEqual(abs(apart), attrs.window), late))
    }
  }
  if (queryDocuments && keyDocuments) {
    const own = reshape(pieceOf(queryDocuments, queries, 1), [B, 1, queries.size, 1])
    parts.push(notEqual(own, reshape(pieceOf(keyDocuments, keys, 1), [B, 1, 1, keys.size])))
  }
  if (keyMask) parts.push(equal(reshape(pieceOf(keyMask, keys, 1), [B, 1, 1, keys.size]), 0))
  if (parts.length === 0) return null
  return mul(
    parts.map((part): Tensor => cast(part, 'float32')).reduce((a, b) => add(a, b)),
    MASKED,
  )
}

/** What is added to the scores of one tile, by the name of the input it comes from; gates as rows plus columns. */
export type Biases = { readonly [name in 'bias' | 'relativeBias' | 'slopes' | 'rows' | 'columns']?: Tensor }

/** Gates summed up from the first query of a piece: of its queries `[B, H, t, 1]`, and of keys `[B, H, 1, keys so far]`. */
export interface Forgotten {
  readonly rows: Tensor
  readonly columns: Tensor
}

/**
 * The sum of gates between key j and query i, as `rows_i + columns_j`. Sums start at the piece's first query and not at
 * the first token: a difference of two long sums would lose the small gates near the query in rounding.
 */
export function forgotten(logForget: Tensor, position: number, size: number): Forgotten {
  const [B, S, H] = logForget.shape as [number, number, number]
  const gates = transpose(logForget, [0, 2, 1])
  const cut = (begin: number, length: number): Tensor => slice(gates, [0, 0, begin], [B, H, length])
  const here = zeros([B, H, 1])
  const after = size > 1 ? [cumsum(cut(position + 1, size - 1), 2)] : []
  const before = position > 0 ? [reverse(cumsum(reverse(cut(1, position), 2), 2), 2)] : []
  const rest = S - position - size
  const columns = concat([...before, here, ...after.map((x) => neg(x)), ...(rest > 0 ? [zeros([B, H, rest])] : [])], 2)
  return { rows: reshape(concat([here, ...after], 2), [B, H, size, 1]), columns: reshape(columns, [B, H, 1, S]) }
}

/** The parts of the biases that one tile needs. */
export function biasesOf(inputs: AttentionInputs, { queries, keys }: Tile, gates: Forgotten | null): Biases {
  const { bias, relativeBias, slopes } = inputs
  const cut = (x: Tensor, t: Span, s: Span): Tensor =>
    slice(x, [0, 0, t.begin, s.begin], [x.shape[0] as number, x.shape[1] as number, t.size, s.size])
  return {
    ...(bias && { bias: cut(bias, queries, keys) }),
    ...(relativeBias && { relativeBias }),
    ...(slopes && { slopes }),
    ...(gates && { rows: gates.rows, columns: cut(gates.columns, { begin: 0, size: 1 }, keys) }),
  }
}

/** All biases of a tile, broadcast to `[B or 1, H or 1, t, s]` or less; null where there are none. */
export function totalBias(biases: Biases, place: Tile, ahead: number): Tensor | null {
  const parts: Tensor[] = []
  if (biases.bias) parts.push(biases.bias)
  if (biases.relativeBias) parts.push(byDistance(biases.relativeBias, place, ahead))
  if (biases.slopes) parts.push(mul(reshape(neg(biases.slopes), [1, -1, 1, 1]), abs(distances(place))))
  if (biases.rows && biases.columns) parts.push(add(biases.rows, biases.columns))
  return parts.length === 0 ? null : parts.reduce((a, b) => add(a, b))
}

/** Columns of the table along the diagonals of a tile, from the greatest distance down. */
function diagonalColumns({ queries, keys, position }: Tile, ahead: number, R: number): Tensor1D {
  const farthest = position - keys.begin + queries.size - 1
  const count = queries.size + keys.size - 1
  const columns = Array.from({ length: count }, (_, n) => Math.min(Math.max(farthest - n + ahead, 0), R - 1))
  return tensor1d(columns, 'int32')
}

/** Columns of the table `[H, R]`, laid out along the diagonals of a tile: `[1, H, t, s]`. */
function byDistance(table: Tensor, place: Tile, ahead: number): Tensor {
  const [H, R] = table.shape as [number, number]
  const [t, s] = [place.queries.size, place.keys.size]
  const diagonals = gather(table, diagonalColumns(place, ahead, R), 1)
  // the list with one entry more, over and over, cut into rows without it: each begins one further back in the list
  const repeated = tile(padded(diagonals, 0, 1), [1, t])
  const rows = reshape(slice(repeated, [0, 0], [H, t * (t + s - 1)]), [H, t, t + s - 1])
  return reshape(slice(rows, [0, 0, t - 1], [H, t, s]), [1, H, t, s])
}

/** The way back: what lies along a diagonal adds up, and with it what has the same column. */
function toDistance(dScores: Tensor, table: Tensor, place: Tile, ahead: number): Tensor {
  const [H, R] = table.shape as [number, number]
  const [t, s] = [place.queries.size, place.keys.size]
  const rows = reshape(padded(sum(dScores, 0), t - 1, 0), [H, t * (t + s - 1)])
  const diagonals = slice(sum(reshape(padded(rows, 0, t), [H, t, t + s]), 1), [0, 0], [H, t + s - 1])
  return transpose(unsortedSegmentSum(transpose(diagonals), diagonalColumns(place, ahead, R), R))
}

/** Zeros before and after, along the last axis. */
function padded(x: Tensor, before: number, after: number): Tensor {
  return pad(
    x,
    x.shape.map((_, axis): [number, number] => (axis === x.rank - 1 ? [before, after] : [0, 0])),
  )
}

/** Gradients of the biases of a tile from that of its scores `[B, H, t, s]`. */
export function biasGradients(biases: Biases, dScores: Tensor, place: Tile, ahead: number): Biases {
  const { bias, relativeBias, slopes, rows, columns } = biases
  const [X, Y] = (bias?.shape ?? []) as number[]
  return {
    ...(bias && { bias: sum1(sum1(dScores, 0, X), 1, Y) }),
    ...(relativeBias && { relativeBias: toDistance(dScores, relativeBias, place, ahead) }),
    ...(slopes && { slopes: neg(sum(mul(dScores, abs(distances(place))), [0, 2, 3])) }),
    ...(rows && { rows: sum(dScores, 3, true) }),
    ...(columns && { columns: sum(dScores, 2, true) }),
  }
}

/** Sums an axis that was broadcast from size 1. */
function sum1(x: Tensor, axis: number, size: number | undefined): Tensor {
  return size === 1 && x.shape[axis] !== 1 ? sum(x, axis, true) : x
}
