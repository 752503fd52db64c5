import {
  bySegments,
  dims,
  extended,
  gapsOf,
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
} from '@mneme/core-tensor'
import { concat, reshape, slice, type Tensor, tensor1d, type Variable } from '@tensorflow/tfjs-core'
import type { CachePolicy } from './cache-policy.js'
import { emptyCache, type KvCache, placement, turned } from './key-cache.js'
import { alibiSlopes, type T5Bias } from './position-bias.js'
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
  /** Scores fall with distance: by fixed slopes (ALiBi), or by a learned table, which layers may share. */
  readonly distanceBias?: 'alibi' | T5Bias | null
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
  readonly distanceBias: T5Bias | null
  readonly sinkLogits: Variable | null
  readonly valueResidual: ValueResidual | null
  private readonly rotary: Rotary | null
  private readonly slopes: readonly number[] | null
  private readonly policy: CachePolicy | null

  constructor(
    private readonly options: SoftmaxAttentionOptions,
    rng: Rng,
  ) {
    super()
    const { dModel, nHeads, nKvHeads, dHead, window, distanceBias = null, projection = { bias: false } } = options
    timesOf('SoftmaxAttention nHeads', nHeads, 'nKvHeads', nKvHeads)
    this.policy = options.cache ?? null
    this.checkDistances()
    const bounded = window > 0 || (this.policy !== null && Number.isFinite(this.policy.capacity))
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
    this.slopes = distanceBias === 'alibi' ? alibiSlopes(nHeads) : null
    this.distanceBias = distanceBias === 'alibi' ? null : distanceBias
    this.sinkLogits = options.sinkLogits ? parameter(normal(rng, [nHeads], 1)) : null
  }

  /** The distance to a key is counted in the cache, so nothing may be missing between. */
  private checkDistances(): void {
    const { window, sinks = 0, distanceBias = null, valueResidual = null } = this.options
    if (this.policy !== null && valueResidual !== null) {
      throw new RangeError(
        'SoftmaxAttention cache: expected no values of another layer, whose keys a policy may have given up.',
      )
    }
    if (sinks > 0 && window === 0) {
      throw new RangeError(`SoftmaxAttention sinks: expected a window where there are sinks, got ${sinks} without one.`)
    }
    if (this.policy !== null && (window > 0 || distanceBias !== null)) {
      throw new RangeError(
        'SoftmaxAttention cache: expected no window and no distance bias, which count keys that a policy may have given up. Use windowCache or rotary positions.',
      )
    }
    if (sinks > 0 && distanceBias !== null) {
      throw new RangeError('SoftmaxAttention sinks: expected no distance bias beside them. Use rotary positions.')
    }
  }

  initialState(): KvCache {
    return emptyCache
  }

  forward(x: Tensor, state: KvCache = emptyCache, pass?: Pass): Mixed<KvCache> {
    const { T } = dims('SoftmaxAttention.forward x', x, 'B T D', { D: this.options.dModel })
    const apart = this.countsOver(state, pass) ? null : rowByRow(this, x, state, pass)
    if (apart !== null) return apart
    if (this.policy === null) {
      const { y, state: cache } = this.attend(x, state, pass)
      return { y, state: this.kept(cache) }
    }
    const { chunk } = this.policy
    const left = ({ position }: KvCache): number => chunk - (position % chunk)
    return bySegments(T, state, left, (tokens, cache) => this.attend(pieceOf(x, tokens, 1), cache, pass))
  }

  /** Whether gaps of this pass may stay where they are: windows, distances and full caches count positions. */
  private countsOver({ byRow }: KvCache, pass?: Pass): boolean {
    const { window, sinks = 0, distanceBias = null } = this.options
    if (distanceBias !== null || sinks > 0 || this.policy !== null) return false
    // a window may count over the end of a document, whose keys it then does not see
    return window === 0 || (!pass?.mask && !byRow)
  }

  private attend(x: Tensor, state: KvCache, pass?: Pass): Mixed<KvCache> {
    const { nHeads, nKvHeads, dHead, window, sinks = 0, scale = 0, softCap = 0 } = this.options
    const [B, T] = x.shape as [number, number]
    const split = (projected: Tensor, heads: number): Tensor => reshape(projected, [B, T, heads, dHead])
    const gaps = gapsOf('SoftmaxAttention.forward', pass, B, T)
    const place = placement(state, gaps, B, T)
    const turn = (heads: Tensor): Tensor => turned(this.rotary, heads, state.position, place)
    const q = turn(split(this.qProj.forward(x), nHeads))
    const keys = extended(state.keys, turn(split(this.kProj.forward(x), nKvHeads)))
    const residual = this.valueResidual
    const own = this.vProj && split(this.vProj.forward(x), nKvHeads)
    const mixed = own && residual ? residual.mixed(own, pass) : own
    const kept = mixed && extended(state.values, mixed)
    const values = residual ? residual.all(kept, pass) : (kept as Tensor)
    const biases = {
      ...(this.slopes && { slopes: tensor1d([...this.slopes]) }),
      ...(this.distanceBias && { relativeBias: this.distanceBias.table() }),
      ...(this.sinkLogits && { sinkLogits: this.sinkLogits }),
    }
    const { o } = softmaxAttention(
      { q, k: keys, v: values, ...biases, ...place.inputs },
      { causal: true, window, sinks, scale, softCap },
    )
    pass?.record?.record('queries', q)
    pass?.record?.record('keys', keys)
    const cache = { keys, values: kept, position: state.position + T, usage: null, ...place.next }
    const attrs = { scale: scale || dHead ** -0.5, softCap, sinkLogits: this.sinkLogits }
    return {
      y: this.oProj.forward(reshape(residual ? residual.output(o, own, pass) : o, [B, T, nHeads * dHead])),
      state: this.policy?.reduced(cache, state.usage, q, attrs) ?? cache,
    }
  }

  /** With a window of w, the next query sees the sinks and w - 1 of the other keys so far; older ones are dropped. */
  private kept(cache: KvCache): KvCache {
    const { window, sinks = 0 } = this.options
    const { keys, values } = cache
    if (window === 0 || keys === null) return cache
    const [B, S, G, K] = keys.shape as [number, number, number, number]
    const size = window - 1
    if (S <= sinks + size) return cache
    if (sinks + size === 0) return { ...cache, keys: null, values: null, documents: null }
    const ends = (x: Tensor): Tensor => {
      const parts = [
        ...(sinks > 0 ? [slice(x, [0, 0, 0, 0], [B, sinks, G, K])] : []),
        ...(size > 0 ? [slice(x, [0, S - size, 0, 0], [B, size, G, K])] : []),
      ]
      return parts.length === 1 ? (parts[0] as Tensor) : concat(parts, 1)
    }
    const documents = cache.documents && slice(cache.documents, [0, S - size], [B, size])
    return { ...cache, keys: ends(keys), values: values && ends(values), documents }
  }

  stateBytes(length: number): number {
    const { nKvHeads, dHead, window, sinks = 0 } = this.options
    if (this.policy !== null) {
      const { capacity, chunk, weighs } = this.policy
      const open = length % chunk
      return 4 * nKvHeads * (2 * dHead + (weighs === 'all' ? 1 : 0)) * (Math.min(length - open, capacity) + open)
    }
    const tensors = this.vProj === null ? 1 : 2
    return tensors * 4 * nKvHeads * dHead * (window > 0 ? Math.min(length, sinks + window - 1) : length)
  }
}
