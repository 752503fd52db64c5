import {
  dims,
  extended,
  gapsOf,
  joined,
  Linear,
  type LinearOptions,
  type Mixed,
  type MixerTraits,
  Module,
  normal,
  type Pass,
  parameter,
  pieceOf,
  type Rng,
  Rotary,
  type RotaryOptions,
  rowByRow,
  type SequenceMixer,
  softmaxAttention,
  timesOf,
  turnedAt,
} from '@mneme/core-tensor'
import { reshape, type Tensor, type Variable } from '@tensorflow/tfjs-core'
import type { Attended } from './cache-eviction.js'
import type { CachePolicy } from './cache-policy.js'
import { emptyCache, type KvCache, placement } from './key-cache.js'
import type { DistanceBias } from './position-bias.js'
import type { ValueResidual } from './value-residual.js'

export interface SoftmaxAttentionOptions {
  readonly dModel: number
  readonly nHeads: number
  /** Heads of keys and values; 1 is multi-query, nHeads is plain multi-head. */
  readonly nKvHeads: number
  readonly dHead: number
  /** Keys seen, the query's own included; 0 for all. */
  readonly window: number
  /** First keys that stay visible beyond the window. */
  readonly sinks?: number
  readonly rotary: RotaryOptions | null
  /** Scores that go by distance: with fixed slopes (`Alibi`), or by a learned table, which layers may share (`T5Bias`). */
  readonly distanceBias?: DistanceBias | null
  /** Whether each head has a learned score of nothing, which joins the denominator. */
  readonly sinkLogits?: boolean
  /** Multiplies q·k; 0 means K^-1/2. */
  readonly scale?: number
  /** Scores become c tanh(score / c) before biases join; 0 for none. */
  readonly softCap?: number
  /** What its values have to do with those of the first layer; null for nothing. */
  readonly valueResidual?: ValueResidual | null
  /** Which keys the cache gives up; null for what the window needs. */
  readonly cache?: CachePolicy | null
  readonly projection?: LinearOptions
  /** Of the last map, where it is not as the others. */
  readonly outProjection?: LinearOptions
}

/**
 * Causal softmax attention with a cache of keys and values.
 *
 *   o_i = Σ_{j ≤ i} softmax_j(q_i·k_j / √K + b_{i-j}) v_j
 *
 * q `[B, T, H, K]`, k and v `[B, T, G, K]` with H / G query heads a key head; rotary positions, biases by distance, sliding
 * window and sinks. State: keys and values `[B, S, G, K]`, growing with T, or bounded by the window or by a cache policy. Time O(T² H K), decoding O(T H K), or O(C H K) with C keys kept.
 * Paper: Vaswani et al. 2017, arXiv:1706.03762, section 3.2; Ainslie et al. 2023, arXiv:2305.13245 (grouped queries);
 * Oren et al. 2024, arXiv:2401.06104 (bounded caches).
 */
export class SoftmaxAttention extends Module implements SequenceMixer<KvCache> {
  readonly traits: MixerTraits
  readonly qProj: Linear
  readonly kProj: Linear
  /** Null where the values of the first layer serve this one. */
  readonly vProj: Linear | null
  readonly oProj: Linear
  readonly distanceBias: DistanceBias | null
  readonly sinkLogits: Variable | null
  readonly valueResidual: ValueResidual | null
  private readonly rotary: Rotary | null
  private readonly policy: CachePolicy | null

  constructor(
    private readonly options: SoftmaxAttentionOptions,
    rng: Rng,
  ) {
    super()
    const { dModel, nHeads, nKvHeads, dHead, window, projection = { bias: false } } = options
    timesOf('SoftmaxAttention nHeads', nHeads, 'nKvHeads', nKvHeads)
    this.policy = options.cache ?? null
    this.checkDistances()
    const bounded = window > 0 || Number.isFinite(this.policy?.capacity)
    this.traits = { causal: true, padding: true, constantState: bounded }
    this.qProj = new Linear(dModel, nHeads * dHead, rng, projection)
    // what adds the same to all scores of a query changes no weight
    const biasTrainable = options.rotary !== null || !!options.softCap || !!options.sinkLogits
    this.kProj = new Linear(dModel, nKvHeads * dHead, rng, { ...projection, biasTrainable })
    this.valueResidual = options.valueResidual ?? null
    const own = this.valueResidual?.own ?? true
    this.vProj = own ? new Linear(dModel, nKvHeads * dHead, rng, projection) : null
    this.oProj = new Linear(nHeads * dHead, dModel, rng, options.outProjection ?? projection)
    this.rotary = options.rotary === null ? null : new Rotary(options.rotary)
    this.distanceBias = options.distanceBias ?? null
    this.sinkLogits = options.sinkLogits ? parameter(normal(rng, [nHeads], 1)) : null
  }

  /** The distance to a key is counted in the cache, so nothing may be missing between. */
  private checkDistances(): void {
    const { window, sinks = 0, distanceBias = null } = this.options
    this.policy?.check('SoftmaxAttention', this.options)
    if (sinks > 0 && window === 0) {
      throw new RangeError(`SoftmaxAttention sinks: expected a window where there are sinks, got ${sinks} without one.`)
    }
    if (sinks > 0 && distanceBias !== null) {
      throw new RangeError('SoftmaxAttention sinks: expected no distance bias beside them. Use rotary positions.')
    }
  }

  initialState(): KvCache {
    return emptyCache
  }

  forward(x: Tensor, state: KvCache = emptyCache, pass?: Pass): Mixed<KvCache> {
    const { dModel, scale = 0, softCap = 0 } = this.options
    dims('SoftmaxAttention.forward x', x, 'B T D', { D: dModel })
    const apart = this.countsOver(state, pass) ? null : rowByRow(this, x, state, pass)
    if (apart !== null) return apart
    const attend = (tokens: Tensor, before: KvCache) => this.attend(tokens, before, pass)
    if (this.policy) return this.policy.through(x, state, attend, { scale, softCap, sinkLogits: this.sinkLogits })
    const { y, state: cache } = attend(x, state)
    return { y, state: this.kept(cache) }
  }

  /** Whether gaps of this pass may stay where they are: windows, distances and full caches count positions. */
  private countsOver({ byRow }: KvCache, pass?: Pass): boolean {
    const { window, sinks = 0, distanceBias = null } = this.options
    if (distanceBias !== null || sinks > 0 || this.policy !== null) return false
    // a window may count over the end of a document, whose keys it then does not see
    return window === 0 || (!pass?.mask && !byRow)
  }

  private attend(x: Tensor, state: KvCache, pass?: Pass): Attended {
    const { nHeads, nKvHeads, dHead, window, sinks = 0, scale = 0, softCap = 0 } = this.options
    const [B, T] = x.shape as [number, number]
    const split = (projected: Tensor, heads: number): Tensor => reshape(projected, [B, T, heads, dHead])
    const gaps = gapsOf('SoftmaxAttention.forward', pass, B, T)
    const place = placement(state, gaps, B, T)
    const turn = (heads: Tensor): Tensor => turnedAt(this.rotary, heads, state.position, place.positions)
    const q = turn(split(this.qProj.forward(x), nHeads))
    const keys = extended(state.keys, turn(split(this.kProj.forward(x), nKvHeads)))
    const residual = this.valueResidual
    const own = this.vProj && split(this.vProj.forward(x), nKvHeads)
    const mixed = own && (residual?.mixed(own, pass) ?? own)
    const kept = mixed && extended(state.values, mixed)
    const v = residual?.all(kept, pass) ?? (kept as Tensor)
    const biases = { ...this.distanceBias?.inputs(), ...(this.sinkLogits && { sinkLogits: this.sinkLogits }) }
    const { o } = softmaxAttention(
      { q, k: keys, v, ...biases, ...place.inputs },
      { causal: true, window, sinks, scale, softCap },
    )
    pass?.record?.record('queries', q)
    pass?.record?.record('keys', keys)
    const heads = residual?.output(o, own, pass) ?? o
    return {
      y: this.oProj.forward(reshape(heads, [B, T, nHeads * dHead])),
      state: { ...state, keys, values: kept, position: state.position + T, ...place.next },
      queries: q,
    }
  }

  /** With a window of w, the next query sees the sinks and w - 1 of the other keys so far; older ones are dropped. */
  private kept(cache: KvCache): KvCache {
    const { window, sinks = 0 } = this.options
    const { keys, values, documents } = cache
    const S = keys?.shape[1] ?? 0
    const newest = window - 1
    if (window === 0 || keys === null || S <= sinks + newest) return cache
    const ends = [
      { begin: 0, size: sinks },
      { begin: S - newest, size: newest },
    ].filter(({ size }) => size > 0)
    if (ends.length === 0) return { ...cache, keys: null, values: null, documents: null }
    const of = (x: Tensor): Tensor =>
      joined(
        ends.map((end) => pieceOf(x, end, 1)),
        1,
      )
    return { ...cache, keys: of(keys), values: values && of(values), documents: documents && of(documents) }
  }

  stateBytes(length: number): number {
    const { nKvHeads, dHead, window, sinks = 0 } = this.options
    if (this.policy) return 4 * nKvHeads * this.policy.numbersHeld(length, dHead)
    const tensors = this.vProj === null ? 1 : 2
    return tensors * 4 * nKvHeads * dHead * (window > 0 ? Math.min(length, sinks + window - 1) : length)
  }
}
