import { differentiation, joined, pieceOf, type Span, softmaxAttention, spans, wholeNumber } from '@mneme/core-tensor'
import {
  add,
  concat,
  customGrad,
  dispose,
  exp,
  expandDims,
  log,
  maximum,
  mul,
  pad,
  split,
  squeeze,
  sub,
  type Tensor,
  tidy,
  transpose,
  zerosLike,
} from '@tensorflow/tfjs-core'

/** Attention to some of the keys. */
export interface PartialAttention {
  /** `[B, T, H, V]` */
  readonly o: Tensor
  /** Logarithm of the sum of exponentials, `[B, H, T]`. */
  readonly lse: Tensor
}

/**
 * Attention to two disjoint sets of keys, from attention to each. Exact, and the order does not matter.
 *
 *   lse = ln(e^lse₁ + e^lse₂),   o = e^(lse₁ − lse) o₁ + e^(lse₂ − lse) o₂
 *
 * Milakov and Gimelshein 2018, arXiv:1805.02867.
 */
export function mergedAttention(a: PartialAttention, b: PartialAttention): PartialAttention {
  const top = maximum(a.lse, b.lse)
  const lse = add(top, log(add(exp(sub(a.lse, top)), exp(sub(b.lse, top)))))
  const share = ({ o, lse: own }: PartialAttention): Tensor =>
    mul(o, expandDims(transpose(exp(sub(own, lse)), [0, 2, 1]), 3))
  return { o: add(share(a), share(b)), lse }
}

export interface AttentionHeads {
  /** `[B, T, H, K]` */
  readonly q: Tensor
  /** `[B, T, G, K]`, positions already in them: those of the whole text. */
  readonly k: Tensor
  /** `[B, T, G, V]` */
  readonly v: Tensor
  /** Documents that do not see each other, `[B, T]`. */
  readonly documents?: Tensor
}

export interface BlockwiseOptions {
  readonly causal: boolean
  /** Queries, and keys, of a block; the last ones may be shorter. */
  readonly queryBlock: number
  readonly keyBlock: number
  /** Multiplies q·k; 0 means K^-1/2. */
  readonly scale?: number
  /** Whether the backward pass makes each block of queries again instead of keeping what it found; it does if absent. */
  readonly recompute?: boolean
}

/**
 * Softmax attention block by block of queries and keys, merged by their log sums: no scores of more than a block of each
 * are alive, and of a block of queries only what it found is kept, so that memory grows with T. Blocks above the diagonal
 * are left out. Time as softmax attention, its forward pass once more where gradients are taken.
 * Paper: Liu and Abbeel 2023, arXiv:2305.19370, section 3.
 */
export function blockwiseAttention(heads: AttentionHeads, options: BlockwiseOptions): PartialAttention {
  const { causal, queryBlock, keyBlock, scale = 0, recompute = true } = options
  wholeNumber('blockwiseAttention queryBlock', queryBlock, 'tokens')
  wholeNumber('blockwiseAttention keyBlock', keyBlock, 'tokens')
  const T = heads.q.shape[1] as number
  const blocks = spans(T, keyBlock)
  const rows = spans(T, queryBlock).map((queries): Row => {
    if (!causal) return { queries, keys: blocks, toDiagonal: false }
    // whole blocks of keys before these queries are all seen; those after them, up to the diagonal, in part
    const before = Math.floor(queries.begin / keyBlock)
    const begin = before * keyBlock
    const last = { begin, size: queries.begin + queries.size - begin }
    return { queries, keys: [...blocks.slice(0, before), last], toDiagonal: true }
  })
  const attend = (row: Row, [q, ...rest]: readonly [Tensor, ...Tensor[]]): PartialAttention => {
    const apart = (span: Span) => (heads.documents ? { documents: pieceOf(heads.documents, span, 1) } : {})
    const found = row.keys.map((span, n) => {
      const [k, v] = [rest[n] as Tensor, rest[row.keys.length + n] as Tensor]
      const diagonal = row.toDiagonal && n === row.keys.length - 1
      return toBlock(q, apart(row.queries).documents, { ...span, k, v, ...apart(span) }, diagonal, scale)
    })
    return found.reduce(mergedAttention)
  }
  if (recompute && rows.length > 1) return oneAfterOther(heads, rows, attend)
  return joinedRows(rows.map((row) => attend(row, piecesOf(row, heads))))
}

/** A block of queries and the keys that it sees, which begin at the first; of the last ones only up to the diagonal. */
interface Row {
  readonly queries: Span
  readonly keys: readonly Span[]
  readonly toDiagonal: boolean
}

type Attend = (row: Row, pieces: readonly [Tensor, ...Tensor[]]) => PartialAttention

/** Queries of a row, then its blocks of keys, then of values. */
const piecesOf = ({ queries, keys }: Row, { q, k, v }: Omit<AttentionHeads, 'documents'>): [Tensor, ...Tensor[]] => [
  pieceOf(q, queries, 1),
  ...keys.map((span) => pieceOf(k, span, 1)),
  ...keys.map((span) => pieceOf(v, span, 1)),
]

/** One row after the other, of which nothing is kept but what it gives: the backward pass makes each again by itself. */
function oneAfterOther({ q, k, v }: AttentionHeads, rows: readonly Row[], attend: Attend): PartialAttention {
  // a custom gradient has one output: the log sum stands behind the values
  const one = (row: Row, pieces: readonly [Tensor, ...Tensor[]]): Tensor => {
    const { o, lse } = attend(row, pieces)
    return concat([o, expandDims(transpose(lse, [0, 2, 1]), 3)], 3)
  }
  const all = (heads: Omit<AttentionHeads, 'documents'>): Tensor =>
    concat(
      rows.map((row) => tidy(() => one(row, piecesOf(row, heads)))),
      1,
    )
  const gradients = (dy: Tensor, heads: Omit<AttentionHeads, 'documents'>): Tensor[] => {
    let [dk, dv] = [zerosLike(heads.k), zerosLike(heads.v)]
    const dqs = rows.map((row) => {
      const [dq, ...sums] = tidy(() => {
        const pieces = piecesOf(row, heads)
        const found = differentiation().vjp(() => [one(row, pieces)], pieces, [pieceOf(dy, row.queries, 1)])
        const end = 1 + row.keys.length
        return [found[0] as Tensor, addedInFront(dk, found.slice(1, end)), addedInFront(dv, found.slice(end))]
      }) as [Tensor, Tensor, Tensor]
      dispose([dk, dv])
      ;[dk, dv] = sums
      return dq
    })
    return [concat(dqs, 1), dk, dv]
  }
  const op = customGrad((...given) => {
    const save = given.pop() as unknown as (tensors: Tensor[]) => void
    const [q, k, v] = given as [Tensor, Tensor, Tensor]
    save([q, k, v])
    return {
      value: all({ q, k, v }),
      gradFunc: (dy: Tensor, saved: Tensor[]) => {
        const [q, k, v] = saved as [Tensor, Tensor, Tensor]
        return gradients(dy, { q, k, v })
      },
    }
  })
  const both = op(q, k, v)
  const [o, lse] = split(both, [(both.shape[3] as number) - 1, 1], 3) as [Tensor, Tensor]
  return { o, lse: transpose(squeeze(lse, [3]), [0, 2, 1]) }
}

/** `total` with pieces that follow each other, put together, added to its first tokens. */
function addedInFront(total: Tensor, pieces: readonly Tensor[]): Tensor {
  const front = joined(pieces, 1)
  const rest = (total.shape[1] as number) - (front.shape[1] as number)
  return add(
    total,
    pad(front, [
      [0, 0],
      [0, rest],
      [0, 0],
      [0, 0],
    ]),
  )
}

/** A ring of devices, each of which holds a block of keys and values. */
export interface Ring {
  readonly devices: number
  /** Every device passes what it holds on to the next; what each holds then, in the order of the devices. */
  pass<Held>(held: readonly Held[]): readonly Held[]
}

/** All devices in this process: passing on is a rotation. */
export function inProcessRing(devices: number): Ring {
  wholeNumber('inProcessRing devices', devices)
  return { devices, pass: (held) => [...held.slice(-1), ...held.slice(0, -1)] }
}

/** What a device holds of keys and values, and whose they are. */
interface HeldBlock extends Span {
  readonly k: Tensor
  readonly v: Tensor
  readonly documents?: Tensor
}

/**
 * Softmax attention of a text that is shared out over the devices of a ring: each keeps its queries, while keys and values
 * go round, one device further at a time, and what each gives is merged. Exact. A device holds 1/N of queries, keys and
 * values, and as much again in passing; N steps. Of causal attention device i has work in i + 1 of them.
 * Paper: Liu et al. 2023, arXiv:2310.01889, section 3.
 */
export function ringAttention(
  heads: AttentionHeads,
  ring: Ring,
  { causal, scale = 0 }: { readonly causal: boolean; readonly scale?: number },
): PartialAttention {
  const T = heads.q.shape[1] as number
  const N = ring.devices
  if (N > T) throw new RangeError(`ringAttention: expected at least a token a device, got ${T} for ${N} devices.`)
  const own = Array.from({ length: N }, (_, i): Span => {
    const begin = Math.floor((i * T) / N)
    return { begin, size: Math.floor(((i + 1) * T) / N) - begin }
  })
  const queries = own.map((piece) => pieceOf(heads.q, piece, 1))
  const documents = own.map((piece) => heads.documents && pieceOf(heads.documents, piece, 1))
  let held: readonly HeldBlock[] = own.map((piece, i) => ({
    ...piece,
    k: pieceOf(heads.k, piece, 1),
    v: pieceOf(heads.v, piece, 1),
    ...(documents[i] && { documents: documents[i] }),
  }))
  const merged: (PartialAttention | undefined)[] = own.map(() => undefined)
  for (let step = 0; step < N; step++) {
    for (const [i, block] of held.entries()) {
      const { begin } = own[i] as Span
      // a block of later keys is nothing to these queries
      if (causal && block.begin > begin) continue
      const found = toBlock(queries[i] as Tensor, documents[i], block, causal && block.begin === begin, scale)
      const before = merged[i]
      merged[i] = before === undefined ? found : mergedAttention(before, found)
    }
    if (step < N - 1) held = ring.pass(held)
  }
  return joinedRows(merged as PartialAttention[])
}

function toBlock(
  q: Tensor,
  queryDocuments: Tensor | undefined,
  { k, v, documents }: HeldBlock,
  causal: boolean,
  scale: number,
): PartialAttention {
  const apart = queryDocuments && documents ? { queryDocuments, keyDocuments: documents } : {}
  return softmaxAttention({ q, k, v, ...apart }, { causal, scale })
}

function joinedRows(rows: readonly PartialAttention[]): PartialAttention {
  if (rows.length === 1) return rows[0] as PartialAttention
  return {
    o: concat(
      rows.map(({ o }) => o),
      1,
    ),
    lse: concat(
      rows.map(({ lse }) => lse),
      2,
    ),
  }
}
