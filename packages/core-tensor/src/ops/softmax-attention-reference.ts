import {
  add,
  div,
  exp,
  fill,
  log,
  matMul,
  max,
  maximum,
  mul,
  reshape,
  sub,
  sum,
  type Tensor,
  tanh,
  tidy,
  transpose,
  zeros,
} from '@tensorflow/tfjs-core'
import { stopGradient } from '../state.js'
import { joined, pieceOf, type Span, spans } from './blocks.js'
import {
  type AttentionAttrs,
  type AttentionInputs,
  type Biases,
  biasesOf,
  closed,
  type Forgotten,
  forgotten,
  MASKED,
  sight,
  type Tile,
  totalBias,
} from './softmax-attention-tiles.js'

export interface AttentionOutputs {
  readonly o: Tensor
  /** Natural logarithm of the sum of exponentials, for merging with attention over other keys. */
  readonly lse: Tensor
}

/** A row that sees something sums to at least 1; a smaller floor would vanish when a gradient squares it. */
const NOTHING = 1e-9

/** A call made ready: its sizes, keys and values heads first, and the pieces that it goes through. */
export interface Call {
  readonly inputs: AttentionInputs
  readonly attrs: AttentionAttrs
  readonly B: number
  readonly T: number
  readonly S: number
  readonly H: number
  readonly G: number
  readonly K: number
  readonly V: number
  /** `[B, G, S, K]` and `[B, G, S, V]`, cut into pieces, the groups folded into the batch. */
  readonly keys: readonly Tensor[]
  readonly values: readonly Tensor[]
  readonly queryPieces: readonly Span[]
  readonly keyPieces: readonly Span[]
}

/** A call with its sizes checked, and queries, keys and values cut into pieces. @throws RangeError for sizes that do not go together */
export function prepared(inputs: AttentionInputs, attrs: AttentionAttrs): Call {
  const [B, T, H, K] = inputs.q.shape as [number, number, number, number]
  const [, S, G, V] = inputs.v.shape as [number, number, number, number]
  checkSizes(inputs, attrs, { B, T, S, H, G })
  const keyPieces = spans(S, keyBlock(T, attrs.block))
  const cut = (x: Tensor, width: number): Tensor[] =>
    keyPieces.map((piece) => tidy(() => reshape(headsFirst(pieceOf(x, piece, 1)), [B * G, piece.size, width])))
  const queryPieces = spans(T, attrs.block)
  return {
    inputs,
    attrs,
    B,
    T,
    S,
    H,
    G,
    K,
    V,
    keys: cut(inputs.k, K),
    values: cut(inputs.v, V),
    queryPieces,
    keyPieces,
  }
}

/** A tile keeps its area: few queries are held against more keys at once. */
const keyBlock = (T: number, block: number): number => Math.max(block, Math.floor((block * block) / T))

function checkSizes(
  { bias, logForget }: AttentionInputs,
  { causal, block }: AttentionAttrs,
  { B, T, S, H, G }: Pick<Call, 'B' | 'T' | 'S' | 'H' | 'G'>,
): void {
  if (H % G !== 0)
    throw new RangeError(`softmaxAttention: expected query heads in multiples of ${G} key heads, got ${H}.`)
  if (bias && ![1, B].includes(bias.shape[0] as number))
    throw new RangeError(`softmaxAttention bias: expected a batch of 1 or ${B}, got ${bias.shape[0]}.`)
  if (bias && ![1, H].includes(bias.shape[1] as number))
    throw new RangeError(`softmaxAttention bias: expected 1 or ${H} heads, got ${bias.shape[1]}.`)
  if (logForget && (!causal || T > S))
    throw new RangeError(
      `softmaxAttention logForget: expected causal attention over at least ${T} keys, got causal ${causal} and ${S} keys.`,
    )
  if (!(block >= 1)) throw new RangeError(`softmaxAttention block: expected at least 1, got ${block}.`)
}

export const headsFirst = (x: Tensor): Tensor => transpose(x, [0, 2, 1, 3])

/** `[B, t, H, W]` to `[B G, H/G t, W]`: the queries of a key head become its rows. */
export function folded(x: Tensor, { B, G, H }: Call): Tensor {
  const [, t, , W] = x.shape as [number, number, number, number]
  return reshape(headsFirst(x), [B * G, (H / G) * t, W])
}

/** `[B G, H / G t, V]` of `t` queries back to `[B, t, H, V]`. */
export function unfolded(x: Tensor, { B, H }: Call, t: number): Tensor {
  return headsFirst(reshape(x, [B, H, t, x.shape[2] as number]))
}

/** The queries and keys of one tile, and where its first query stands among the keys. */
export function tileOf({ S, T }: Call, queries: Span, keys: Span): Tile {
  return { queries, keys, position: S - T + queries.begin }
}

export const gatesOf = ({ inputs: { logForget }, S, T }: Call, { begin, size }: Span): Forgotten | null =>
  logForget === undefined ? null : forgotten(logForget, S - T + begin, size)

export const scaleOf = ({ attrs, K }: Call): number => attrs.scale || K ** -0.5

interface Scores {
  /** `[B, H, t, s]`, biases and masks included. */
  readonly scores: Tensor
  /** q·k after the cap, where there is one. */
  readonly capped: Tensor | null
}

/** Scores of one tile, from scaled and folded queries. */
export function scoresOf(call: Call, place: Tile, q: Tensor, k: Tensor, biases: Biases): Scores {
  const { inputs, attrs, B, H } = call
  const raw = reshape(matMul(q, k, false, true), [B, H, place.queries.size, place.keys.size])
  const capped = attrs.softCap > 0 ? mul(tanh(div(raw, attrs.softCap)), attrs.softCap) : null
  const added = [totalBias(biases, place, attrs.ahead), closed(inputs, attrs, place)]
  const scores = added.reduce((total: Tensor, part) => (part === null ? total : add(total, part)), capped ?? raw)
  return { scores, capped }
}

/** The online softmax: greatest score so far, sum of exponentials below it, and the values they weight. */
type Running = { readonly top: Tensor; readonly total: Tensor; readonly weighted: Tensor }

function start({ inputs: { sinkLogits }, B, H, V }: Call, t: number): Running {
  const weighted = zeros([B, H, t, V])
  if (sinkLogits === undefined) return { top: fill([B, H, t, 1], MASKED / 2), total: zeros([B, H, t, 1]), weighted }
  const sink = add(reshape(sinkLogits, [1, H, 1, 1]), zeros([B, H, t, 1]))
  const top = stopGradient(sink)
  return { top, total: exp(sub(sink, top)), weighted }
}

function absorbed({ top, total, weighted }: Running, scores: Tensor, values: Tensor): Running {
  const [B, H, t, s] = scores.shape as [number, number, number, number]
  // a row with nothing to see has MASKED everywhere, and the bound below its maximum makes its weights zeros
  const higher = stopGradient(maximum(top, max(scores, -1, true)))
  const kept = exp(sub(top, higher))
  const weights = exp(sub(scores, higher))
  const product = matMul(reshape(weights, [values.shape[0] as number, -1, s]), values)
  return {
    top: higher,
    total: add(mul(total, kept), sum(weights, -1, true)),
    weighted: add(mul(weighted, kept), reshape(product, [B, H, t, -1])),
  }
}

/** Softmax attention tile by tile; what is held beside inputs and outputs does not grow with T S. */
export function reference(inputs: AttentionInputs, attrs: AttentionAttrs): AttentionOutputs {
  const call = prepared(inputs, attrs)
  const pieces = call.queryPieces.map((queries) => tidy(() => ({ ...attended(call, queries) })))
  const all = (name: keyof AttentionOutputs, axis: number): Tensor =>
    joined(
      pieces.map((piece) => piece[name]),
      axis,
    )
  return { o: all('o', 1), lse: all('lse', 2) }
}

function attended(call: Call, queries: Span): AttentionOutputs {
  const { inputs, attrs, B, H } = call
  const q = folded(mul(pieceOf(inputs.q, queries, 1), scaleOf(call)), call)
  const gates = gatesOf(call, queries)
  let running = start(call, queries.size)
  for (const [n, keys] of call.keyPieces.entries()) {
    const place = tileOf(call, queries, keys)
    if (sight(place, attrs) === 'none') continue
    const before = running
    running = tidy(() => {
      const { scores } = scoresOf(call, place, q, call.keys[n] as Tensor, biasesOf(inputs, place, gates))
      return absorbed(before, scores, call.values[n] as Tensor)
    })
    for (const old of Object.values(before)) old.dispose()
  }
  const total = maximum(running.total, NOTHING)
  return {
    o: headsFirst(div(running.weighted, total)),
    lse: reshape(add(running.top, log(total)), [B, H, queries.size]),
  }
}
