import { softmaxAttention, wholeNumber } from '@mneme/core-tensor'
import {
  add,
  concat,
  exp,
  expandDims,
  log,
  maximum,
  mul,
  slice,
  sub,
  type Tensor,
  transpose,
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
}

/**
 * Softmax attention block by block of queries and keys, merged by their log sums: no scores of more than a block of each
 * are alive. Blocks above the diagonal are left out. Time as softmax attention.
 * Paper: Liu and Abbeel 2023, arXiv:2305.19370, section 3.
 */
export function blockwiseAttention(heads: AttentionHeads, options: BlockwiseOptions): PartialAttention {
  const { causal, queryBlock, keyBlock, scale = 0 } = options
  const T = heads.q.shape[1] as number
  const rows = pieces(0, T, queryBlock).map((own) => {
    // keys before these queries are all seen; those beside them up to the diagonal
    const before = pieces(0, causal ? own.begin : T, keyBlock).map((keys) => attend(heads, own, keys, false, scale))
    const parts = causal ? [...before, attend(heads, own, own, true, scale)] : before
    return parts.reduce(mergedAttention)
  })
  return joinedRows(rows)
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
interface HeldBlock extends Piece {
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
  const own = Array.from({ length: N }, (_, i): Piece => {
    const begin = Math.floor((i * T) / N)
    return { begin, size: Math.floor(((i + 1) * T) / N) - begin }
  })
  const queries = own.map((piece) => part(heads.q, piece))
  const documents = own.map((piece) => heads.documents && part(heads.documents, piece))
  let held: readonly HeldBlock[] = own.map((piece, i) => ({
    ...piece,
    k: part(heads.k, piece),
    v: part(heads.v, piece),
    ...(documents[i] && { documents: documents[i] }),
  }))
  const merged: (PartialAttention | undefined)[] = own.map(() => undefined)
  for (let step = 0; step < N; step++) {
    for (const [i, block] of held.entries()) {
      const { begin } = own[i] as Piece
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

interface Piece {
  readonly begin: number
  readonly size: number
}

function pieces(begin: number, end: number, size: number): Piece[] {
  if (!(size >= 1)) throw new RangeError(`blockwiseAttention: expected blocks of at least 1 token, got ${size}.`)
  const count = Math.ceil((end - begin) / size)
  return Array.from({ length: count }, (_, n) => {
    const start = begin + n * size
    return { begin: start, size: Math.min(size, end - start) }
  })
}

/** Tokens of a piece, of `[B, T, ...]`. */
function part(x: Tensor, { begin, size }: Piece): Tensor {
  const [B, , ...rest] = x.shape as [number, number, ...number[]]
  return slice(x, [0, begin, ...rest.map(() => 0)], [B, size, ...rest])
}

function attend(heads: AttentionHeads, own: Piece, keys: Piece, causal: boolean, scale: number): PartialAttention {
  const { q, k, v, documents } = heads
  const block = { ...keys, k: part(k, keys), v: part(v, keys), ...(documents && { documents: part(documents, keys) }) }
  return toBlock(part(q, own), documents && part(documents, own), block, causal, scale)
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
