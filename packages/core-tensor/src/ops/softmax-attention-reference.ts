import {
  abs,
  add,
  cast,
  clipByValue,
  concat,
  cumsum,
  div,
  equal,
  exp,
  fill,
  gather,
  greaterEqual,
  less,
  log,
  logicalAnd,
  matMul,
  max,
  maximum,
  mul,
  neg,
  notEqual,
  range,
  reshape,
  reverse,
  slice,
  sub,
  sum,
  type Tensor,
  tanh,
  transpose,
  zeros,
} from '@tensorflow/tfjs-core'
import { named } from '../op.js'
import { recomputed } from '../recomputed.js'
import { timesOf, wholeNumber } from '../shape.js'
import { stopGradient } from '../state.js'
import { joined, pieceOf, type Span, spans } from './blocks.js'

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
  /** Queries that the reference handles at a time. Changes cost, not results. */
  readonly block: number
}

export interface AttentionOutputs {
  readonly o: Tensor
  /** Natural logarithm of the sum of exponentials, for merging with attention over other keys. */
  readonly lse: Tensor
}

/** What a query may not see is pushed down by this. */
const MASKED = -1e30
/** A row that sees something sums to at least 1; a smaller floor would vanish when a gradient squares it. */
const NOTHING = 1e-9

/** A piece of the queries against the keys that some of them may see. */
interface Piece {
  readonly queries: Span
  readonly keys: Span
  /** Position of the first query, where keys count from 0. */
  readonly position: number
}

/**
 * Softmax attention, some queries at a time. Nothing is kept of a piece for the backward pass, which runs it again, so
 * what is held beside inputs and outputs are the scores of one.
 */
export function reference(inputs: AttentionInputs, attrs: AttentionAttrs): AttentionOutputs {
  checkSizes(inputs, attrs)
  const [B, T, H] = inputs.q.shape as [number, number, number]
  const S = inputs.k.shape[1] as number
  const pieces = spans(T, attrs.block).map((queries) => {
    const piece = { queries, keys: seen(queries, T, S, attrs), position: S - T + queries.begin }
    const parts = partsOf(inputs, piece)
    // one piece is all there is: the op itself keeps nothing of it
    if (queries.size === T) return attended(parts, attrs, piece)
    const names = Object.keys(parts)
    const run = (...given: Tensor[]): Tensor => attended(named(names, given) as never, attrs, piece)
    return recomputed(run, Object.values(parts))
  })
  const whole = joined(pieces, 1)
  const V = (whole.shape[3] as number) - 1
  return {
    o: slice(whole, [0, 0, 0, 0], [B, T, H, V]),
    lse: transpose(reshape(slice(whole, [0, 0, 0, V], [B, T, H, 1]), [B, T, H]), [0, 2, 1]),
  }
}

function checkSizes(inputs: AttentionInputs, { causal, block }: AttentionAttrs): void {
  const { q, k, bias, logForget } = inputs
  const [B, T, H] = q.shape as [number, number, number]
  const [, S, G] = k.shape as [number, number, number]
  timesOf('softmaxAttention q heads', H, 'key heads', G)
  if (bias && ![B, H].every((size, axis) => [1, size].includes(bias.shape[axis] as number)))
    throw new RangeError(
      `softmaxAttention bias: expected [1 or B=${B}, 1 or H=${H}, T, S], got [${bias.shape.join(', ')}].`,
    )
  if (logForget && (!causal || T > S))
    throw new RangeError(
      `softmaxAttention logForget: expected causal attention over at least ${T} keys, got causal ${causal} and ${S} keys.`,
    )
  wholeNumber('softmaxAttention block', block, 'queries')
}

/** The keys from the first to the last that some of the queries may see, as far as positions say; at least one. */
function seen({ begin, size }: Span, T: number, S: number, { causal, window, sinks }: AttentionAttrs): Span {
  const first = S - T + begin
  const last = first + size - 1 + (causal ? 0 : window > 0 ? window - 1 : S)
  const end = Math.min(Math.max(last + 1, 1), S)
  const from = window > 0 && sinks === 0 ? Math.min(Math.max(first - window + 1, 0), end - 1) : 0
  return { begin: from, size: end - from }
}

/** What a piece needs of each input. */
function partsOf(inputs: AttentionInputs, { queries, keys }: Piece): AttentionInputs {
  const { q, k, v, bias, logForget, keyMask, queryDocuments, keyDocuments, ...whole } = inputs
  return {
    q: pieceOf(q, queries, 1),
    k: pieceOf(k, keys, 1),
    v: pieceOf(v, keys, 1),
    ...(bias && { bias: pieceOf(pieceOf(bias, queries, 2), keys, 3) }),
    ...(logForget && { logForget: pieceOf(logForget, keys, 1) }),
    ...(keyMask && { keyMask: pieceOf(keyMask, keys, 1) }),
    ...(queryDocuments && { queryDocuments: pieceOf(queryDocuments, queries, 1) }),
    ...(keyDocuments && { keyDocuments: pieceOf(keyDocuments, keys, 1) }),
    ...whole,
  }
}

const headsFirst = (x: Tensor): Tensor => transpose(x, [0, 2, 1, 3])

/** Outputs of one piece with their lse behind them, `[B, t, H, V + 1]`. */
function attended(parts: AttentionInputs, attrs: AttentionAttrs, piece: Piece): Tensor {
  const { q, k, v, sinkLogits } = parts
  const [B, t, H, K] = q.shape as [number, number, number, number]
  const [, s, G, V] = v.shape as [number, number, number, number]
  // the queries of a key head become its rows
  const rows = reshape(headsFirst(mul(q, attrs.scale || K ** -0.5)), [B * G, (H / G) * t, K])
  const raw = matMul(rows, reshape(headsFirst(k), [B * G, s, K]), false, true)
  const capped = attrs.softCap > 0 ? mul(tanh(div(raw, attrs.softCap)), attrs.softCap) : raw
  const scores = [...biases(parts, attrs, piece), ...closed(parts, attrs, piece)].reduce(
    (total, part) => add(total, part),
    reshape(capped, [B, H, t, s]),
  )
  const sink = sinkLogits ? reshape(sinkLogits, [1, H, 1, 1]) : fill([1, 1, 1, 1], MASKED)
  // where nothing is seen all scores are MASKED, and weights below this zeros
  const top = stopGradient(maximum(max(scores, -1, true), maximum(sink, MASKED / 2)))
  const weights = exp(sub(scores, top))
  const total = maximum(add(sum(weights, -1, true), exp(sub(sink, top))), NOTHING)
  const sums = matMul(reshape(weights, [B * G, (H / G) * t, s]), reshape(headsFirst(v), [B * G, s, V]))
  return headsFirst(concat([div(reshape(sums, [B, H, t, V]), total), add(top, log(total))], 3))
}

/** Position of the query less that of the key, `[t, s]`. */
function distances({ queries, keys, position }: Piece): Tensor {
  const rows = reshape(range(position, position + queries.size), [queries.size, 1])
  return sub(rows, reshape(range(keys.begin, keys.begin + keys.size), [1, keys.size]))
}

/** All that is added to the scores of a piece, each broadcast to `[B or 1, H or 1, t, s]`. */
function biases(parts: AttentionInputs, { ahead }: AttentionAttrs, piece: Piece): Tensor[] {
  const { bias, relativeBias, slopes, logForget } = parts
  const added: Tensor[] = []
  if (bias) added.push(bias)
  if (relativeBias) {
    const [H, R] = relativeBias.shape as [number, number]
    const columns = cast(clipByValue(add(distances(piece), ahead), 0, R - 1), 'int32')
    added.push(reshape(gather(relativeBias, reshape(columns, [-1]), 1), [1, H, ...columns.shape]))
  }
  if (slopes) added.push(mul(reshape(neg(slopes), [1, -1, 1, 1]), abs(distances(piece))))
  if (logForget) added.push(forgotten(logForget, piece))
  return added
}

/**
 * The sum of gates between key j and query i. Sums start at the piece's first query and not at the first token: a
 * difference of two long sums would lose the small gates near the query in rounding.
 */
function forgotten(logForget: Tensor, { queries, keys, position }: Piece): Tensor {
  const [B, s, H] = logForget.shape as [number, number, number]
  const gates = transpose(logForget, [0, 2, 1])
  const before = position - keys.begin
  const here = zeros([B, H, 1])
  const after = s > before + 1 ? [cumsum(slice(gates, [0, 0, before + 1], [B, H, s - before - 1]), 2)] : []
  const back = before > 0 ? [reverse(cumsum(reverse(slice(gates, [0, 0, 1], [B, H, before]), 2), 2), 2)] : []
  const rows = reshape(concat([here, ...after], 2), [B, H, queries.size, 1])
  return add(rows, reshape(concat([...back, here, ...after.map((x) => neg(x))], 2), [B, H, 1, s]))
}

/** MASKED where a query of the piece may not see a key, and 0 elsewhere; nothing where all see all. */
function closed(parts: AttentionInputs, { causal, window, sinks }: AttentionAttrs, piece: Piece): Tensor[] {
  const { q, keyMask, queryDocuments, keyDocuments } = parts
  const { queries, keys } = piece
  const B = q.shape[0] as number
  const hidden: Tensor[] = []
  if (causal) hidden.push(less(distances(piece), 0))
  if (window > 0) {
    const late = greaterEqual(range(keys.begin, keys.begin + keys.size), sinks) // [s]
    hidden.push(logicalAnd(greaterEqual(abs(distances(piece)), window), late))
  }
  if (queryDocuments && keyDocuments) {
    const own = reshape(queryDocuments, [B, 1, queries.size, 1])
    hidden.push(notEqual(own, reshape(keyDocuments, [B, 1, 1, keys.size])))
  }
  if (keyMask) hidden.push(equal(reshape(keyMask, [B, 1, 1, keys.size]), 0))
  return hidden.map((part) => mul(cast(part, 'float32'), MASKED))
}
