import {
  bySegments,
  cosSin,
  draw,
  extended,
  FLOAT_EPSILON,
  Linear,
  type Mixed,
  Module,
  parameter,
  pieceOf,
  RMSNorm,
  type Rng,
  rotary,
  softmaxAttention,
  stopGradient,
} from '@mneme/core-tensor'
import {
  add,
  concat,
  expandDims,
  mul,
  reshape,
  sigmoid,
  slice,
  split,
  sub,
  type Tensor,
  tensor2d,
  tile,
  transpose,
  type Variable,
  zeros,
} from '@tensorflow/tfjs-core'

export interface WindowAttentionOptions {
  readonly dModel: number
  readonly nHeads: number
  readonly dHead: number
  /** Positions of a window. */
  readonly window: number
  /** Whether a query sees as many positions before it rather than those of its own window. */
  readonly sliding: boolean
  /** Keys and values that every query sees. */
  readonly persistent: number
  readonly ropeBase: number
}

export type KeysAndValues = {
  /** Rotated keys, and values, that the next query may see: `[B, f, H, K]`; null when there are none. */
  readonly keys: Tensor | null
  readonly values: Tensor | null
}

/** What the first layer leaves for the others in `Pass.shared`: its values, `[B, T, H, K]`. */
const FIRST_VALUES = 'firstValues'

/**
 * Attention inside windows, with keys and values of its own that every query sees. From the second layer on, values are
 * mixed with those of the first, by a learned share of each head.
 */
export class WindowAttention extends Module {
  readonly norm: RMSNorm
  readonly qkvProj: Linear
  readonly oProj: Linear
  readonly vMix: Linear | null
  /** `[2, H, P, K]`: keys, unturned, and values. */
  readonly persistent: Variable | null
  readonly freqs: Variable

  constructor(
    private readonly options: WindowAttentionOptions,
    first: boolean,
    rng: Rng,
  ) {
    super()
    const { dModel, nHeads, dHead, persistent, ropeBase } = options
    this.norm = new RMSNorm(dModel, FLOAT_EPSILON)
    this.qkvProj = new Linear(dModel, 3 * nHeads * dHead, rng, { bias: false })
    this.oProj = new Linear(nHeads * dHead, dModel, rng, { bias: false })
    this.vMix = first ? null : new Linear(dModel, nHeads, rng)
    this.persistent = persistent > 0 ? parameter(zeros([2, nHeads, persistent, dHead])) : null
    let m = 0
    this.freqs = parameter(
      draw([dHead / 2], () => ropeBase ** ((-2 * m++) / dHead)),
      false,
    )
  }

  forward(x: Tensor, state: KeysAndValues, position: number, shared: Map<string, Tensor>): Mixed<KeysAndValues> {
    const { nHeads, dHead } = this.options
    const [B, T] = x.shape as [number, number]
    const normed = this.norm.forward(x)
    const [q, k, v] = split(reshape(this.qkvProj.forward(normed), [B, T, 3 * nHeads, dHead]), 3, 2) as [
      Tensor,
      Tensor,
      Tensor,
    ] // [B, T, H, K] each
    const first = shared.get(FIRST_VALUES) ?? v
    shared.set(FIRST_VALUES, first)
    const share = this.vMix && expandDims(sigmoid(this.vMix.forward(normed)), 3)
    const values = share === null ? v : add(v, mul(share, sub(first, v)))
    const places = Float32Array.from({ length: T }, (_, t) => position + t)
    const turn = cosSin({ angle: expandDims(mul(tensor2d(places, [T, 1]), stopGradient(this.freqs)), 0) }) // [1, T, K/2]
    const turned = (heads: Tensor): Tensor => rotary({ x: heads, ...turn }, { layout: 'interleaved' }).y
    const { y: o, state: next } = this.options.sliding
      ? this.slidingWindow(turned(q), turned(k), values, state)
      : this.inWindows(turned(q), turned(k), values, state, position)
    return { y: this.oProj.forward(reshape(o, [B, T, nHeads * dHead])), state: next }
  }

  private inWindows(q: Tensor, k: Tensor, v: Tensor, state: KeysAndValues, position: number): Mixed<KeysAndValues> {
    const { window: W } = this.options
    const left = (_: KeysAndValues, begin: number): number => W - ((position + begin) % W)
    return bySegments(q.shape[1] as number, state, left, (tokens, before) => {
      const keys = extended(before.keys, pieceOf(k, tokens, 1))
      const values = extended(before.values, pieceOf(v, tokens, 1))
      const given = { q: pieceOf(q, tokens, 1), k: this.withPersistent(keys, 0), v: this.withPersistent(values, 1) }
      const full = tokens.size === left(before, tokens.begin)
      return { y: softmaxAttention(given).o, state: full ? { keys: null, values: null } : { keys, values } }
    })
  }

  private slidingWindow(q: Tensor, k: Tensor, v: Tensor, state: KeysAndValues): Mixed<KeysAndValues> {
    const { window: W } = this.options
    const keys = extended(state.keys, k)
    const values = extended(state.values, v)
    const { o } = softmaxAttention(
      { q, k: this.withPersistent(keys, 0), v: this.withPersistent(values, 1) },
      { window: W + 1, sinks: this.options.persistent },
    )
    const kept = (x: Tensor): Tensor => {
      const [B, S, H, K] = x.shape as [number, number, number, number]
      return S <= W ? x : slice(x, [0, S - W, 0, 0], [B, W, H, K])
    }
    return { y: o, state: { keys: kept(keys), values: kept(values) } }
  }

  /** Keys (0) or values (1), with the persistent ones in front. */
  private withPersistent(x: Tensor, which: 0 | 1): Tensor {
    if (this.persistent === null) return x
    const { nHeads, persistent, dHead } = this.options
    const byHead = slice(this.persistent, [which, 0, 0, 0], [1, nHeads, persistent, dHead])
    return concat([tile(transpose(byHead, [0, 2, 1, 3]), [x.shape[0] as number, 1, 1, 1]), x], 1)
  }

  /** Bytes of one row after `positions`. */
  stateBytes(positions: number): number {
    const { window, sliding, nHeads, dHead } = this.options
    return 2 * 4 * nHeads * dHead * (sliding ? Math.min(positions, window) : positions % window)
  }
}
