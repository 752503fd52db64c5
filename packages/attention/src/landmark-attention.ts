import {
  dims,
  extended,
  HeadMaps,
  type LinearOptions,
  type Mixed,
  type MixerTraits,
  type Pass,
  pieceOf,
  type Rng,
  Rotary,
  type RotaryOptions,
  recomputed,
  rowByRow,
  type SequenceMixer,
  spans,
  stopGradient,
  wholeNumber,
} from '@mneme/core-tensor'
import {
  add,
  cast,
  concat,
  div,
  equal,
  exp,
  greater,
  greaterEqual,
  less,
  log,
  matMul,
  max,
  min,
  mul,
  pad,
  range,
  reshape,
  slice,
  softmax,
  sub,
  sum,
  type Tensor,
  tensor1d,
  tensor2d,
  topk,
  transpose,
} from '@tensorflow/tfjs-core'

export interface LandmarkAttentionOptions {
  readonly dModel: number
  readonly nHeads: number
  readonly dHead: number
  /** Tokens of a block; the token after them is its landmark. */
  readonly block: number
  /** Earlier blocks that a token may look into, those of the greatest landmark scores, head by head; null for all. */
  readonly retrieved: number | null
  readonly rotary: RotaryOptions | null
  /**
   * `own`: where a token stands in the text. `near`: no position is beyond that of block `retrieved` + 1, so that texts
   * longer than those of training are read with positions that are known; the last `retrieved` blocks keep their distance,
   * all before them stand in front of those. `own` if absent.
   */
  readonly positions?: 'own' | 'near'
  /** Queries whose weights are held at a time, 128 if absent; changes memory and cost, not results. */
  readonly queryBlock?: number
  readonly projection?: LinearOptions
}

export type LandmarkState = {
  /** `[B, S, H, K]`, rotated; null while empty. */
  readonly keys: Tensor | null
  /** The same as they are in the first block; null where positions are their own. */
  readonly front: Tensor | null
  readonly values: Tensor | null
  readonly position: number
}

/**
 * Attention by way of landmarks: what a token gives an earlier block is what it gives the block's landmark, shared out
 * among the block's tokens.
 *
 *   w_ij = p_L(j) in the token's own block,   w_ij = p_b(j) p_L(landmark of b) in an earlier block b,   o_i = Σ_j w_ij v_j
 *
 * p_L the softmax over the tokens of the own block up to i and the landmarks of all blocks before, p_b that over the tokens
 * of block b; scores q·k / √K. Every (block + 1)-th token of the input is a landmark; nothing looks at the landmark of its
 * own block. State: keys and values `[B, S, H, K]`, growing with T, keys twice with `near` positions. Time O(T² H K); memory O(Q T H) for
 * Q = queryBlock, beyond which the backward pass makes weights again.
 * Paper: Mohtashami and Jaggi 2023, arXiv:2305.16300, sections 3.1 and 3.2.
 * Differs: with `near` positions all blocks before the last `retrieved` stand in one place, where the authors give each of
 * those that are retrieved one of its own.
 */
export class LandmarkAttention extends HeadMaps implements SequenceMixer<LandmarkState> {
  readonly traits: MixerTraits = { causal: true, padding: true, constantState: false }
  private readonly rotary: Rotary | null

  constructor(
    private readonly options: LandmarkAttentionOptions,
    rng: Rng,
  ) {
    super('LandmarkAttention', options, rng)
    wholeNumber('LandmarkAttention block', options.block)
    wholeNumber('LandmarkAttention retrieved', options.retrieved ?? 1)
    wholeNumber('LandmarkAttention queryBlock', options.queryBlock ?? 1)
    this.rotary = options.rotary === null ? null : new Rotary(options.rotary)
  }

  initialState(): LandmarkState {
    return { keys: null, front: null, values: null, position: 0 }
  }

  forward(x: Tensor, state: LandmarkState = this.initialState(), pass?: Pass): Mixed<LandmarkState> {
    const { dModel } = this.options
    const { T } = dims('LandmarkAttention.forward x', x, 'B T D', { D: dModel })
    const apart = rowByRow(this, x, state, pass)
    if (apart !== null) return apart
    const turn = (y: Tensor): Tensor => this.rotary?.forward(y, state.position) ?? y
    const [rawQ, rawK] = [this.heads(this.qProj, x), this.heads(this.kProj, x)]
    const q = turn(rawQ)
    const keys = extended(state.keys, turn(rawK))
    const values = extended(state.values, this.heads(this.vProj, x))
    const front = this.near ? extended(state.front, this.within(rawK, state.position, 0)) : null
    const far = front && { q: this.within(rawQ, state.position, this.near + 1), keys: front }
    // weights of all queries are made at once for a picture of them alone
    if (pass?.record) pass.record.record('weights', landmarkWeights(q, keys, this.options, far))
    return {
      y: this.fromHeads(this.attend(q, keys, values, far)),
      state: { keys, front, values, position: state.position + T },
    }
  }

  /** Blocks that keep their distance where positions are `near`, else 0. */
  private get near(): number {
    const { positions = 'own', retrieved } = this.options
    return positions === 'near' && this.rotary !== null ? (retrieved ?? 0) : 0
  }

  /** Turned by the place within the block, as if it were the block of that number. */
  private within(x: Tensor, position: number, number: number): Tensor {
    const size = this.options.block + 1
    const T = x.shape[1] as number
    const places = Array.from({ length: T }, (_, t) => number * size + ((position + t) % size))
    return (this.rotary as Rotary).forwardAt(x, tensor2d(places, [1, T], 'int32'), (number + 1) * size)
  }

  /** Queries `[B, T, H, K]` are the newest of the keys; a block of them at a time, with the keys up to its last. */
  private attend(q: Tensor, keys: Tensor, values: Tensor, far: Far | null): Tensor {
    const { block, queryBlock = 128 } = this.options
    const [T, S] = [q.shape[1] as number, keys.shape[1] as number]
    const among = (asked: Tensor, seen: Tensor, held: Tensor, farAsked?: Tensor, farSeen?: Tensor): Tensor => {
      const farther = farAsked && farSeen ? { q: farAsked, keys: farSeen } : null
      return weighted(tokenWeights(asked, seen, this.options, farther), held, block)
    }
    if (T <= queryBlock) return among(q, keys, values, far?.q, far?.keys)
    const found = spans(T, queryBlock).map((span) => {
      const seen = { begin: 0, size: S - T + span.begin + span.size }
      const parts = [pieceOf(q, span, 1), pieceOf(keys, seen, 1), pieceOf(values, seen, 1)]
      return recomputed(among, far ? [...parts, pieceOf(far.q, span, 1), pieceOf(far.keys, seen, 1)] : parts)
    })
    return concat(found, 1)
  }

  stateBytes(length: number): number {
    const { nHeads: H, dHead: K } = this.options
    return (this.near ? 3 : 2) * 4 * H * K * length
  }
}

type Retrieval = Pick<LandmarkAttentionOptions, 'block' | 'retrieved'>

/** Queries and keys as they meet where the key's block is not among the last `retrieved`. */
interface Far {
  readonly q: Tensor
  readonly keys: Tensor
}

/**
 * What every query gives every key, `[B, H, T, S]`: not negative, of sum 1, and 0 for landmarks. q `[B, T, H, K]` are the
 * newest of the keys `[B, S, H, K]`, of which every (block + 1)-th is a landmark.
 */
export function landmarkWeights(q: Tensor, keys: Tensor, retrieval: Retrieval, far: Far | null = null): Tensor {
  return amongKeys(tokenWeights(q, keys, retrieval, far), keys, retrieval.block)
}

/**
 * Weights of the tokens without landmarks, the last block filled up, `[B H, T, n block]`: what is given to a block, shared
 * out by a softmax over its tokens. Landmarks of earlier blocks and all of the own block compete in one softmax.
 */
function tokenWeights(q: Tensor, keys: Tensor, { block, retrieved }: Retrieval, far: Far | null): Tensor {
  const [B, T, H] = q.shape as [number, number, number]
  const position = (keys.shape[1] as number) - T
  const n = Math.ceil((keys.shape[1] as number) / (block + 1))
  const { earlier, own, distant } = places(position, T, n, block, retrieved ?? n)
  const near = scoresOf({ q, keys }, block)
  const met = far === null ? near : mixed(distant, scoresOf(far, block), near)
  const scores = add(met.tokens, laterTokens(position, T, n, block))
  const byBlock = reshape(scores, [B * H * T * n, block])
  const top = stopGradient(max(byBlock, 1, true))
  const raised = exp(sub(byBlock, top))
  const total = sum(raised, 1, true)
  const all = reshape(add(top, log(total)), [B * H, T, n])
  const given = mul(met.landmarks, earlier)
  const open = retrieved === null ? given : add(given, unretrieved(given, earlier, retrieved))
  const logits = add(add(open, mul(all, own)), mul(sub(1, add(earlier, own)), SHUT))
  const shares = div(reshape(softmax(logits), [B * H * T * n, 1]), total)
  return reshape(mul(raised, shares), [B * H, T, n * block])
}

interface Scores {
  /** Of the tokens without landmarks, `[B H, T, n block]`. */
  readonly tokens: Tensor
  /** Of the landmarks, `[B H, T, n]`. */
  readonly landmarks: Tensor
}

function scoresOf({ q, keys }: Far, block: number): Scores {
  const [B, T, H, K] = q.shape as [number, number, number, number]
  const rows = reshape(mul(transpose(q, [0, 2, 1, 3]), K ** -0.5), [B * H, T, K])
  const { tokens, landmarks } = grouped(keys, block)
  return { tokens: matMul(rows, tokens, false, true), landmarks: matMul(rows, landmarks, false, true) }
}

/** Scores of the first kind where `distant` `[T, n]` is 1, else of the second. */
function mixed(distant: Tensor, far: Scores, near: Scores): Scores {
  const [N, T, n] = far.landmarks.shape as [number, number, number]
  // a term of 0, rather than a difference: blocks that score alike still do
  const chosen = (a: Tensor, b: Tensor, mask: Tensor): Tensor => add(mul(mask, a), mul(sub(1, mask), b))
  const byBlock = (x: Tensor): Tensor => reshape(x, [N, T, n, -1])
  const tokens = chosen(byBlock(far.tokens), byBlock(near.tokens), reshape(distant, [T, n, 1]))
  return {
    tokens: reshape(tokens, near.tokens.shape),
    landmarks: chosen(far.landmarks, near.landmarks, distant),
  }
}

/** Values `[B, S, H, K]` of tokens by their weights, `[B, T, H, K]`. */
function weighted(weights: Tensor, values: Tensor, block: number): Tensor {
  const [B, , H, K] = values.shape as [number, number, number, number]
  const o = matMul(weights, grouped(values, block).tokens)
  return transpose(reshape(o, [B, H, -1, K]), [0, 2, 1, 3])
}

/** Tokens `[B H, n block, K]` and landmarks `[B H, n, K]` of keys or values, with zeros after the last. */
function grouped(x: Tensor, block: number): { n: number; tokens: Tensor; landmarks: Tensor } {
  const [B, S, H, K] = x.shape as [number, number, number, number]
  const n = Math.ceil(S / (block + 1))
  const rows = reshape(transpose(x, [0, 2, 1, 3]), [B * H, S * K])
  const filled = pad(rows, [
    [0, 0],
    [0, (n * (block + 1) - S) * K],
  ])
  const blocks = reshape(filled, [B * H * n, (block + 1) * K])
  return {
    n,
    tokens: reshape(slice(blocks, [0, 0], [B * H * n, block * K]), [B * H, n * block, K]),
    landmarks: reshape(slice(blocks, [0, block * K], [B * H * n, K]), [B * H, n, K]),
  }
}

/** Weights of tokens as those of all keys, in their order. */
function amongKeys(weights: Tensor, keys: Tensor, block: number): Tensor {
  const [B, S, H] = keys.shape as [number, number, number]
  const [N, T, tokens] = weights.shape as [number, number, number]
  const n = tokens / block
  const filled = pad(reshape(weights, [N * T * n, block]), [
    [0, 0],
    [0, 1],
  ])
  return slice(reshape(filled, [B, H, T, n * (block + 1)]), [0, 0, 0, 0], [B, H, T, S])
}

const SHUT = -1e30

/** Far down for tokens after the query, `[T, n block]`. */
function laterTokens(position: number, T: number, n: number, block: number): Tensor {
  const tokens = tensor1d(Array.from({ length: n * block }, (_, j) => j + Math.floor(j / block)))
  const queries = reshape(range(position, position + T), [T, 1])
  return mul(cast(greater(tokens, queries), 'float32'), SHUT)
}

/** 1 for blocks before that of the query, for its own, and for those before the last `count` of the earlier, `[T, n]`. */
function places(
  position: number,
  T: number,
  n: number,
  block: number,
  count: number,
): { earlier: Tensor; own: Tensor; distant: Tensor } {
  const current = Array.from({ length: T }, (_, i) => Math.floor((position + i) / (block + 1)))
  const queries = reshape(tensor1d(current), [T, 1])
  const blocks = range(0, n)
  return {
    earlier: cast(less(blocks, queries), 'float32'),
    own: cast(equal(blocks, queries), 'float32'),
    distant: cast(less(blocks, sub(queries, count)), 'float32'),
  }
}

/** A later block goes before an earlier one whose score is no greater than this a block: landmarks are alike in a first layer. */
const LATER = 1e-5

/** Far down for earlier blocks that are not among those of the greatest `count` scores, `[N, T, n]`. */
function unretrieved(scores: Tensor, earlier: Tensor, count: number): Tensor {
  const n = scores.shape[2] as number
  const ranked = add(stopGradient(scores), mul(range(0, n), LATER))
  const found = add(ranked, mul(sub(1, earlier), SHUT))
  const least = min(topk(found, Math.min(count, n)).values, -1, true)
  return mul(mul(sub(1, cast(greaterEqual(found, least), 'float32')), earlier), SHUT)
}
