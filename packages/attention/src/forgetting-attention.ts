import {
  atTokens,
  constant,
  dims,
  extended,
  type Gaps,
  gapsOf,
  Linear,
  type LinearOptions,
  logSigmoid,
  type Mixed,
  type MixerTraits,
  Module,
  type Pass,
  parameter,
  previousTokens,
  RMSNorm,
  type Rng,
  Rotary,
  type RotaryOptions,
  type SequenceMixer,
  type State,
  softmaxAttention,
  timesOf,
  turnedAt,
} from '@mneme/core-tensor'
import { add, mul, ones, reshape, sigmoid, sub, type Tensor, tensor1d, type Variable } from '@tensorflow/tfjs-core'
import { emptyCache, type KvCache, placement } from './key-cache.js'

/** Where forget gates come from: the token, a learned value a head, or a fixed one. */
export type ForgetGate =
  | { readonly from: 'token' }
  /** Heads forget over `shortest` to `longest` tokens, spaced evenly on a logarithmic scale. */
  | { readonly from: 'learned' | 'fixed'; readonly shortest: number; readonly longest: number }

export interface ForgettingAttentionOptions {
  readonly dModel: number
  readonly nHeads: number
  /** Heads of keys and values; each serves nHeads / nKvHeads query heads in a row. */
  readonly nKvHeads: number
  readonly dHead: number
  readonly gate: ForgetGate
  readonly rotary: RotaryOptions | null
  /** Whether each head of queries and keys has its root mean square normalised, with this epsilon; null for no norm. */
  readonly qkNormEps: number | null
  /** Whether keys and values are mixed with those of the token before. */
  readonly kvShift: boolean
  /** Epsilon of the norm of each head's output; null for no norm. */
  readonly outputNormEps: number | null
  /** Whether the output is multiplied by sigmoid(W_g x). */
  readonly outputGate: boolean
  readonly projection?: LinearOptions
}

export interface ForgettingState {
  readonly [name: string]: State
  readonly cache: KvCache
  /** Logarithm of every forget gate so far, `[B, S, H]`; null while empty. */
  readonly logForget: Tensor | null
  /** Projections of the last token, before any shift, `[B, G K]`; null without shifts. */
  readonly kLast: Tensor | null
  readonly vLast: Tensor | null
}

/**
 * Softmax attention that forgets: a gate of each token and head lowers the scores of all keys before it.
 *
 *   s_ij = q_i·k_j / √K + Σ_{j < l ≤ i} ln f_l,   o_i = Σ_{j ≤ i} softmax_j(s_ij) v_j,   f_t = sigmoid(W_f x_t + b)
 *
 * f `[H]` in (0, 1), one a query head; it takes the place of positions. The Pro form: `qkNormEps`, `kvShift` (k_t becomes
 * a_t k_{t-1} + (1 − a_t) k_t, a = sigmoid(W_s x), before the norm, and v alike), `outputNormEps`, `outputGate`. State:
 * keys, values and gates, growing with T. Time O(T² H K), decoding O(T H K).
 * Paper: Lin et al. 2025, arXiv:2503.02130, sections 3 and 4.
 */
export class ForgettingAttention extends Module implements SequenceMixer<ForgettingState> {
  readonly traits: MixerTraits = { causal: true, padding: true, constantState: false }
  readonly qProj: Linear
  readonly kProj: Linear
  readonly vProj: Linear
  readonly oProj: Linear
  readonly fProj: Linear | null
  /** Pre-activation of the forget gate of each head, where no token sets it. */
  readonly fBias: Variable | null
  readonly kShift: Linear | null
  readonly vShift: Linear | null
  readonly qNorm: RMSNorm | null
  readonly kNorm: RMSNorm | null
  readonly oNorm: RMSNorm | null
  readonly gProj: Linear | null
  private readonly rotary: Rotary | null
  private readonly fixedGate: readonly number[]

  constructor(
    private readonly options: ForgettingAttentionOptions,
    rng: Rng,
  ) {
    super()
    const { dModel: D, nHeads: H, nKvHeads: G, dHead: K, gate, projection = { bias: false } } = options
    timesOf('ForgettingAttention nHeads', H, 'nKvHeads', G)
    const linear = (dOut: number, dIn = D): Linear => new Linear(dIn, dOut, rng, projection)
    const plain = (dOut: number): Linear => new Linear(D, dOut, rng, { ...projection, bias: false })
    this.qProj = linear(H * K)
    this.kProj = linear(G * K)
    this.vProj = linear(G * K)
    this.oProj = new Linear(H * K, D, rng, { ...projection, bias: false })
    const zeroBias = { ...projection, bias: true, biasInit: (_: Rng, shape: readonly number[]) => constant(shape, 0) }
    this.fProj = gate.from === 'token' ? new Linear(D, H, rng, zeroBias) : null
    this.fixedGate = gate.from === 'token' ? [] : gatesOfLength(H, gate.shortest, gate.longest)
    this.fBias = gate.from === 'learned' ? parameter(tensor1d([...this.fixedGate])) : null
    this.kShift = options.kvShift ? plain(G) : null
    this.vShift = options.kvShift ? plain(G) : null
    const norm = (heads: number, eps: number | null): RMSNorm | null =>
      eps === null ? null : new RMSNorm(heads * K, eps, heads)
    this.qNorm = norm(H, options.qkNormEps)
    this.kNorm = norm(G, options.qkNormEps)
    this.oNorm = norm(H, options.outputNormEps)
    this.gProj = options.outputGate ? plain(H * K) : null
    this.rotary = options.rotary === null ? null : new Rotary(options.rotary)
  }

  initialState(batch: number): ForgettingState {
    const { nKvHeads: G, dHead: K, kvShift } = this.options
    const nothing = (): Tensor | null => (kvShift ? constant([batch, G * K], 0) : null)
    return { cache: emptyCache, logForget: null, kLast: nothing(), vLast: nothing() }
  }

  forward(x: Tensor, state?: ForgettingState, pass?: Pass): Mixed<ForgettingState> {
    const { dModel, nHeads: H, nKvHeads: G, dHead: K } = this.options
    const { B, T } = dims('ForgettingAttention.forward x', x, 'B T D', { D: dModel })
    const before = state ?? this.initialState(B)
    const gaps = gapsOf('ForgettingAttention.forward', pass, B, T)
    const place = placement(before.cache, gaps, B, T)
    const k = this.shifted(this.kShift, this.kProj.forward(x), x, before.kLast, gaps)
    const v = this.shifted(this.vShift, this.vProj.forward(x), x, before.vLast, gaps)
    const normed = (norm: RMSNorm | null, y: Tensor): Tensor => (norm === null ? y : norm.forward(y))
    const turn = (y: Tensor, heads: number): Tensor =>
      turnedAt(this.rotary, reshape(y, [B, T, heads, K]), before.cache.position, place.positions)
    const keys = extended(before.cache.keys, turn(normed(this.kNorm, k.y), G))
    const values = extended(before.cache.values, reshape(v.y, [B, T, G, K]))
    const logForget = extended(before.logForget, atTokens(this.logGates(x), gaps))
    const { o } = softmaxAttention(
      { q: turn(normed(this.qNorm, this.qProj.forward(x)), H), k: keys, v: values, logForget, ...place.inputs },
      { causal: true },
    )
    pass?.record?.record('logForget', logForget)
    let read = normed(this.oNorm, reshape(o, [B, T, H * K]))
    if (this.gProj) read = mul(read, sigmoid(this.gProj.forward(x)))
    return {
      y: this.oProj.forward(read),
      state: {
        cache: { keys, values, position: before.cache.position + T, usage: null, ...place.next },
        logForget,
        kLast: k.last,
        vLast: v.last,
      },
    }
  }

  /** `[B, T, H]`, at most 0. */
  private logGates(x: Tensor): Tensor {
    const { nHeads: H } = this.options
    if (this.fProj) return logSigmoid(this.fProj.forward(x))
    const [B, T] = x.shape as [number, number]
    return mul(logSigmoid(this.fBias ?? tensor1d([...this.fixedGate])), ones([B, T, H]))
  }

  /** u_t becomes a_t u_{t-1} + (1 − a_t) u_t, head by head. u `[B, T, G K]` */
  private shifted(
    shift: Linear | null,
    u: Tensor,
    x: Tensor,
    before: Tensor | null,
    gaps: Gaps | null,
  ): { readonly y: Tensor; readonly last: Tensor | null } {
    if (shift === null || before === null) return { y: u, last: null }
    const { nKvHeads: G, dHead: K } = this.options
    const [B, T] = u.shape as [number, number]
    const { previous, last } = previousTokens(u, before, gaps)
    const share = reshape(sigmoid(shift.forward(x)), [B, T, G, 1])
    const change = reshape(sub(previous, u), [B, T, G, K])
    return { y: add(u, reshape(mul(share, change), [B, T, G * K])), last }
  }

  stateBytes(length: number): number {
    const { nHeads: H, nKvHeads: G, dHead: K, kvShift } = this.options
    return 4 * (length * (2 * G * K + H) + (kvShift ? 2 * G * K : 0))
  }
}

/** Pre-activations of gates whose logarithm is −1 / length, for lengths from `shortest` to `longest`. */
function gatesOfLength(H: number, shortest: number, longest: number): number[] {
  return Array.from({ length: H }, (_, h) => {
    const length = shortest * (longest / shortest) ** (H === 1 ? 0 : h / (H - 1))
    return -Math.log(Math.expm1(1 / length))
  })
}
