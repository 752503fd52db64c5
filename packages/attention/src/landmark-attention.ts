import {
  dims,
  Linear,
  type LinearOptions,
  type Mixed,
  type MixerTraits,
  Module,
  type Pass,
  type Rng,
  Rotary,
  type RotaryOptions,
  refusePadding,
  type SequenceMixer,
  stopGradient,
} from '@mneme/core-tensor'
import {
  add,
  cast,
  equal,
  greaterEqual,
  less,
  lessEqual,
  matMul,
  min,
  mul,
  pad,
  range,
  reshape,
  slice,
  softmax,
  sub,
  type Tensor,
  tensor1d,
  topk,
  transpose,
} from '@tensorflow/tfjs-core'
import { joined } from './key-cache.js'

export interface LandmarkAttentionOptions {
  readonly dModel: number
  readonly nHeads: number
  readonly dHead: number
  /** Tokens of a block; the token after them is its landmark. */
  readonly block: number
  /** Earlier blocks that a token may look into, those of the greatest landmark scores, head by head; null for all. */
  readonly retrieved: number | null
  readonly rotary: RotaryOptions | null
  readonly projection?: LinearOptions
}

export type LandmarkState = {
  /** `[B, S, H, K]`, rotated; null while empty. */
  readonly keys: Tensor | null
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
 * own block. State: keys and values, growing with T. Time and memory O(T² H K) and O(T² H).
 * Paper: Mohtashami and Jaggi 2023, arXiv:2305.16300, section 3.
 * Differs: retrieved blocks keep their own positions.
 */
export class LandmarkAttention extends Module implements SequenceMixer<LandmarkState> {
  readonly traits: MixerTraits = { causal: true, padding: false, constantState: false }
  readonly qProj: Linear
  readonly kProj: Linear
  readonly vProj: Linear
  readonly oProj: Linear
  private readonly rotary: Rotary | null

  constructor(
    private readonly options: LandmarkAttentionOptions,
    rng: Rng,
  ) {
    super()
    const { dModel: D, nHeads: H, dHead: K, block, retrieved, projection = { bias: false } } = options
    for (const [name, value] of Object.entries({ block, retrieved: retrieved ?? 1 })) {
      if (!(Number.isInteger(value) && value >= 1)) {
        throw new RangeError(`LandmarkAttention ${name}: expected a whole number, at least 1, got ${value}.`)
      }
    }
    this.qProj = new Linear(D, H * K, rng, projection)
    this.kProj = new Linear(D, H * K, rng, projection)
    this.vProj = new Linear(D, H * K, rng, projection)
    this.oProj = new Linear(H * K, D, rng, projection)
    this.rotary = options.rotary === null ? null : new Rotary(options.rotary)
  }

  initialState(): LandmarkState {
    return { keys: null, values: null, position: 0 }
  }

  forward(x: Tensor, state: LandmarkState = this.initialState(), pass?: Pass): Mixed<LandmarkState> {
    refusePadding('LandmarkAttention.forward', pass)
    const { dModel, nHeads: H, dHead: K, block, retrieved } = this.options
    const { B, T } = dims('LandmarkAttention.forward x', x, 'B T D', { D: dModel })
    const heads = (proj: Linear): Tensor => reshape(proj.forward(x), [B, T, H, K])
    const turn = (y: Tensor): Tensor => this.rotary?.forward(y, state.position) ?? y
    const keys = joined(state.keys, turn(heads(this.kProj)))
    const values = joined(state.values, heads(this.vProj))
    const weights = landmarkWeights(turn(heads(this.qProj)), keys, block, retrieved)
    pass?.record?.record('weights', weights)
    const o = matMul(weights, transpose(values, [0, 2, 1, 3]))
    return {
      y: this.oProj.forward(reshape(transpose(o, [0, 2, 1, 3]), [B, T, H * K])),
      state: { keys, values, position: state.position + T },
    }
  }

  stateBytes(length: number): number {
    const { nHeads: H, dHead: K } = this.options
    return 2 * 4 * H * K * length
  }
}

/**
 * What every query gives every key, `[B, H, T, S]`: not negative, of sum 1, and 0 for landmarks. q `[B, T, H, K]` are the
 * newest of the keys `[B, S, H, K]`, of which every (block + 1)-th is a landmark.
 */
export function landmarkWeights(q: Tensor, keys: Tensor, block: number, retrieved: number | null): Tensor {
  const [B, T, H, K] = q.shape as [number, number, number, number]
  const S = keys.shape[1] as number
  const n = Math.ceil(S / (block + 1))
  const full = n * (block + 1)
  const rows = mul(transpose(q, [0, 2, 1, 3]), K ** -0.5)
  const scores = matMul(rows, transpose(keys, [0, 2, 1, 3]), false, true)
  // four axes: some backends pad no more
  const grouped = (y: Tensor): Tensor => reshape(y, [B * H, T, n, block + 1])
  const padded = grouped(
    pad(scores, [
      [0, 0],
      [0, 0],
      [0, 0],
      [0, full - S],
    ]),
  )
  const tokens = slice(padded, [0, 0, 0, 0], [B * H, T, n, block])
  const landmarks = slice(padded, [0, 0, 0, block], [B * H, T, n, 1])
  const open = openScores(S - T, T, n, block) // [T, n, block + 1]
  const seen = retrieved === null ? open : add(open, unretrieved(landmarks, open, retrieved))
  const joint = grouped(softmax(reshape(add(padded, seen), [B, H, T, full])))
  const own = slice(joint, [0, 0, 0, 0], [B * H, T, n, block])
  const given = slice(joint, [0, 0, 0, block], [B * H, T, n, 1])
  const shares = softmax(tokens) as Tensor
  const weights = pad(add(own, mul(shares, given)), [
    [0, 0],
    [0, 0],
    [0, 0],
    [0, 1],
  ])
  return slice(reshape(weights, [B, H, T, full]), [0, 0, 0, 0], [B, H, T, S])
}

const SHUT = -1e30

/** 0 for tokens of the query's own block up to it, and for landmarks of earlier blocks; else far down. */
function openScores(position: number, T: number, n: number, block: number): Tensor {
  const size = block + 1
  const places = Array.from({ length: n * size }, (_, j) => j)
  const blocks = tensor1d(places.map((j) => Math.floor(j / size)))
  const isLandmark = tensor1d(places.map((j) => (j % size === block ? 1 : 0)))
  const queries = reshape(range(position, position + T), [T, 1])
  const current = reshape(tensor1d(Array.from({ length: T }, (_, i) => Math.floor((position + i) / size))), [T, 1])
  const yes = (x: Tensor): Tensor => cast(x, 'float32')
  const beside = mul(yes(equal(blocks, current)), yes(lessEqual(range(0, n * size), queries)))
  const seen = add(mul(beside, sub(1, isLandmark)), mul(yes(less(blocks, current)), isLandmark))
  return reshape(mul(sub(1, seen), SHUT), [T, n, size])
}

/** Far down for landmarks that are not among the greatest `count` that are open, `[N, T, n, block + 1]`. */
function unretrieved(landmarks: Tensor, open: Tensor, count: number): Tensor {
  const [N, T, n] = landmarks.shape as [number, number, number, number]
  const width = open.shape[2] as number
  const gate = reshape(slice(open, [0, 0, width - 1], [T, n, 1]), [T, n])
  const scores = add(reshape(stopGradient(landmarks), [N, T, n]), gate)
  const least = min(topk(scores, Math.min(count, n)).values, -1, true)
  const shut = reshape(mul(sub(1, cast(greaterEqual(scores, least), 'float32')), SHUT), [N, T, n, 1])
  return pad(shut, [
    [0, 0],
    [0, 0],
    [0, 0],
    [width - 1, 0],
  ])
}
