import {
  cumsum,
  div,
  exp,
  matMul,
  mul,
  neg,
  pad,
  reshape,
  reverse,
  square,
  sub,
  sum,
  type Tensor,
  tidy,
  transpose,
  zerosLike,
} from '@tensorflow/tfjs-core'
import { assembled, joined, pieceOf, type Span, Sums } from './blocks.js'
import {
  type AttentionOutputs,
  type Call,
  folded,
  gatesOf,
  headsFirst,
  prepared,
  scaleOf,
  scoresOf,
  tileOf,
  unfolded,
} from './softmax-attention-reference.js'
import {
  type AttentionAttrs,
  type AttentionInputs,
  type Biases,
  biasesOf,
  biasGradients,
  type Forgotten,
  sight,
  type Tile,
} from './softmax-attention-tiles.js'

/** One piece of the queries in the backward pass. */
interface Rows {
  readonly q: Tensor
  readonly dO: Tensor
  /** `[B, H, t, 1]`. */
  readonly lse: Tensor
  /** What the softmax takes off the gradient of each probability: `do·o - dlse`, `[B, H, t, 1]`. */
  readonly offset: Tensor
}

function rowsOf(call: Call, dys: AttentionOutputs, { o, lse }: AttentionOutputs, queries: Span): Rows {
  const { inputs, B, H } = call
  const dO = pieceOf(dys.o, queries, 1)
  const column = (x: Tensor): Tensor => reshape(x, [B, H, queries.size, 1])
  const perHead = (x: Tensor): Tensor => column(pieceOf(x, queries, 2))
  const projection = column(transpose(sum(mul(dO, pieceOf(o, queries, 1)), 3), [0, 2, 1]))
  return {
    q: folded(mul(pieceOf(inputs.q, queries, 1), scaleOf(call)), call),
    dO: folded(dO, call),
    lse: perHead(lse),
    offset: sub(projection, perHead(dys.lse)),
  }
}

/** Gradients that one tile contributes: probabilities come back from the log sums. */
function tileGradient(call: Call, place: Tile, n: number, rows: Rows, gates: Forgotten | null): Record<string, Tensor> {
  const { inputs, attrs } = call
  const [i, k, v] = [place.queries.begin, call.keys[n] as Tensor, call.values[n] as Tensor]
  const biases = biasesOf(inputs, place, gates)
  const { scores, capped } = scoresOf(call, place, rows.q, k, biases)
  const probabilities = exp(sub(scores, rows.lse))
  const fold = (x: Tensor): Tensor => reshape(x, [k.shape[0] as number, -1, place.keys.size])
  const dP = reshape(matMul(rows.dO, v, false, true), scores.shape)
  const dScores = mul(probabilities, sub(dP, rows.offset))
  const dRaw = fold(capped === null ? dScores : mul(dScores, sub(1, square(div(capped, attrs.softCap)))))
  const dBiases = Object.entries(biasGradients(biases, dScores, place, attrs.ahead)) as [keyof Biases, Tensor][]
  return {
    [`q ${i}`]: mul(matMul(dRaw, k), scaleOf(call)),
    [`k ${n}`]: matMul(dRaw, rows.q, true, false),
    [`v ${n}`]: matMul(fold(probabilities), rows.dO, true, false),
    ...Object.fromEntries(dBiases.map(([name, dBias]) => [nameOf(name, i, n), dBias])),
  }
}

/** Gradients of the table and the slopes are sums over all tiles; the others belong to a piece. */
function nameOf(name: keyof Biases, i: number, n: number): string {
  const places = { bias: ` ${i} ${n}`, rows: ` ${i}`, columns: ` ${n}`, relativeBias: '', slopes: '' }
  return name + places[name]
}

/** Gradients of every floating input, tile by tile, in the memory of the inputs and their gradients. */
export function gradient(
  dys: AttentionOutputs,
  inputs: AttentionInputs,
  outputs: AttentionOutputs,
  attrs: AttentionAttrs,
): { readonly [name in keyof AttentionInputs]?: Tensor } {
  const call = prepared(inputs, attrs)
  const sums = new Sums()
  for (const queries of call.queryPieces) {
    const rows = tidy(() => ({ ...rowsOf(call, dys, outputs, queries) }))
    const gates = tidy(() => gatesOf(call, queries) as never) as Forgotten | null
    for (const [n, keys] of call.keyPieces.entries()) {
      const place = tileOf(call, queries, keys)
      if (sight(place, attrs) !== 'none') sums.add(tidy(() => tileGradient(call, place, n, rows, gates)))
    }
    if (inputs.sinkLogits) {
      const sink = reshape(inputs.sinkLogits, [1, -1, 1, 1])
      sums.add({ sinkLogits: tidy(() => neg(sum(mul(exp(sub(sink, rows.lse)), rows.offset), [0, 2, 3]))) })
    }
    for (const used of [...Object.values(rows), ...Object.values(gates ?? {})]) used.dispose()
  }
  for (const used of [...call.keys, ...call.values]) used.dispose()
  return tidy(() => gathered(call, sums) as never)
}

function gathered(call: Call, sums: Sums): Record<string, Tensor> {
  const { inputs, B, H, G, T, S, queryPieces, keyPieces } = call
  const queries = (name: string, shape: (t: number) => number[]): Tensor[] =>
    queryPieces.map(({ begin, size }) => sums.get(`${name} ${begin}`, shape(size)))
  const keys = (name: string, shape: (s: number) => number[]): Tensor[] =>
    keyPieces.map(({ size }, n) => sums.get(`${name} ${n}`, shape(size)))
  const keyGradient = (name: 'k' | 'v', W: number): Tensor => {
    const pieces = keys(name, (s) => [B * G, s, W])
    return assembled(pieces, (piece) => headsFirst(reshape(piece, [B, G, -1, W])), 1)
  }
  const gates = (): Tensor => {
    const rows = queries('rows', (t) => [B, H, t, 1])
    const columns = keys('columns', (s) => [B, H, 1, s])
    return gateGradient(reshape(joined(rows, 2), [B, H, T]), reshape(joined(columns, 3), [B, H, S]))
  }
  const dq = queries('q', (t) => [B * G, (H / G) * t, call.K])
  const { bias, relativeBias, slopes, sinkLogits, logForget, keyMask, queryDocuments, keyDocuments } = inputs
  const constants = { keyMask, queryDocuments, keyDocuments }
  return {
    q: assembled(dq, (piece) => unfolded(piece, call, (piece.shape[1] as number) / (H / G)), 1),
    k: keyGradient('k', call.K),
    v: keyGradient('v', call.V),
    ...(bias && { bias: biasGradient(call, sums, bias) }),
    ...(relativeBias && { relativeBias: sums.get('relativeBias', relativeBias.shape) }),
    ...(slopes && { slopes: sums.get('slopes', slopes.shape) }),
    ...(sinkLogits && { sinkLogits: sums.get('sinkLogits', sinkLogits.shape) }),
    ...(logForget && { logForget: gates() }),
    ...Object.fromEntries(
      Object.entries(constants).flatMap(([name, x]) => (x === undefined ? [] : [[name, zerosLike(x)]])),
    ),
  }
}

function biasGradient({ queryPieces, keyPieces }: Call, sums: Sums, bias: Tensor): Tensor {
  const [X, Y] = bias.shape as [number, number]
  const rows = queryPieces.map(({ begin, size: t }) =>
    joined(
      keyPieces.map(({ size: s }, n) => sums.get(`bias ${begin} ${n}`, [X, Y, t, s])),
      3,
    ),
  )
  return joined(rows, 2)
}

/** A gate counts in the scores of the queries at and after its token, and is taken off for the keys there. */
function gateGradient(rows: Tensor, columns: Tensor): Tensor {
  const ahead = (columns.shape[2] as number) - (rows.shape[2] as number)
  const late = pad(rows, [
    [0, 0],
    [0, 0],
    [ahead, 0],
  ])
  return transpose(reverse(cumsum(reverse(sub(late, columns), 2), 2), 2), [0, 2, 1])
}
