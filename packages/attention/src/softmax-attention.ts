import {
  dims,
  gapsOf,
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
  softmaxAttention,
} from '@mneme/core-tensor'
import { reshape, slice, type Tensor } from '@tensorflow/tfjs-core'
import { emptyCache, joined, type KvCache, placement, turned } from './key-cache.js'

export interface SoftmaxAttentionOptions {
  readonly dModel: number
  readonly nHeads: number
  /** Heads of keys and values; 1 is multi-query, nHeads is plain multi-head. */
  readonly nKvHeads: number
  readonly dHead: number
  /** Keys seen, the query's own included; 0 for all. */
  readonly window: number
  readonly rotary: RotaryOptions | null
  readonly projection?: LinearOptions
}

/**
 * Causal softmax attention with a cache of keys and values.
 *
 *   o_i = Σ_{j ≤ i} softmax_j(q_i·k_j / √K) v_j
 *
 * Grouped queries, rotary positions, sliding window. State: keys and values, growing with T, or bounded by the window.
 * Time O(T² H K), decoding O(T H K).
 * Paper: Vaswani et al. 2017, arXiv:1706.03762, section 3.2; Ainslie et al. 2023, arXiv:2305.13245 (grouped queries).
 */
export class SoftmaxAttention extends Module implements SequenceMixer<KvCache> {
  readonly traits: MixerTraits
  readonly qProj: Linear
  readonly kProj: Linear
  readonly vProj: Linear
  readonly oProj: Linear
  private readonly rotary: Rotary | null

  constructor(
    private readonly options: SoftmaxAttentionOptions,
    rng: Rng,
  ) {
    super()
    const { dModel, nHeads, nKvHeads, dHead, projection = { bias: false } } = options
    if (nHeads % nKvHeads !== 0) {
      throw new RangeError(`SoftmaxAttention nHeads: expected a multiple of nKvHeads = ${nKvHeads}, got ${nHeads}.`)
    }
    // a window counts positions, and padding would use them up
    this.traits = { causal: true, padding: options.window === 0, constantState: options.window > 0 }
    this.qProj = new Linear(dModel, nHeads * dHead, rng, projection)
    this.kProj = new Linear(dModel, nKvHeads * dHead, rng, projection)
    this.vProj = new Linear(dModel, nKvHeads * dHead, rng, projection)
    this.oProj = new Linear(nHeads * dHead, dModel, rng, projection)
    this.rotary = options.rotary === null ? null : new Rotary(options.rotary)
  }

  initialState(): KvCache {
    return emptyCache
  }

  forward(x: Tensor, state: KvCache = emptyCache, pass?: Pass): Mixed<KvCache> {
    const { dModel, nHeads, nKvHeads, dHead, window } = this.options
    const { B, T } = dims('SoftmaxAttention.forward x', x, 'B T D', { D: dModel })
    const split = (projected: Tensor, heads: number): Tensor => reshape(projected, [B, T, heads, dHead])
    if (window > 0) refusePadding('SoftmaxAttention.forward', pass)
    const gaps = gapsOf('SoftmaxAttention.forward', pass, B, T)
    const place = placement(state, gaps, B, T)
    const turn = (heads: Tensor): Tensor => turned(this.rotary, heads, state.position, place)
    const q = turn(split(this.qProj.forward(x), nHeads))
    const keys = joined(state.keys, turn(split(this.kProj.forward(x), nKvHeads)))
    const values = joined(state.values, split(this.vProj.forward(x), nKvHeads))
    const { o } = softmaxAttention({ q, k: keys, v: values, ...place.inputs }, { causal: true, window })
    pass?.record?.record('queries', q)
    pass?.record?.record('keys', keys)
    return {
      y: this.oProj.forward(reshape(o, [B, T, nHeads * dHead])),
      state: this.kept({ keys, values, position: state.position + T, ...place.next }),
    }
  }

  /** With a window of w, the next query sees w - 1 of the keys so far; older ones are dropped. */
  private kept(cache: KvCache & { readonly keys: Tensor; readonly values: Tensor }): KvCache {
    const [B, S, G, K] = cache.keys.shape as [number, number, number, number]
    const size = this.options.window - 1
    if (this.options.window === 0 || S <= size) return cache
    if (size === 0) return { ...cache, keys: null, values: null, documents: null }
    return {
      ...cache,
      keys: slice(cache.keys, [0, S - size, 0, 0], [B, size, G, K]),
      values: slice(cache.values, [0, S - size, 0, 0], [B, size, G, K]),
      documents: cache.documents && slice(cache.documents, [0, S - size], [B, size]),
    }
  }

  stateBytes(length: number): number {
    const { nKvHeads, dHead, window } = this.options
    return 2 * 4 * nKvHeads * dHead * (window > 0 ? Math.min(length, window - 1) : length)
  }
}
