import {
  bySegments,
  detach,
  dims,
  extended,
  joined,
  type LayerParts,
  Linear,
  type LinearOptions,
  type Mixed,
  type MixerTraits,
  Module,
  type Pass,
  pieceOf,
  ResidualLayer,
  type Rng,
  refusePadding,
  rowByRow,
  type SequenceMixer,
  type State,
  softmaxAttention,
} from '@mneme/core-tensor'
import { pad, reshape, slice, type Tensor, zeros } from '@tensorflow/tfjs-core'
import { T5Bias } from './position-bias.js'
import type { KeysAndValues, RecurrentVectors } from './recurrent-vectors.js'
import { Similarity, type SimilarityKind } from './similarity.js'
import type { XPos } from './xpos.js'

export interface BlockAttentionOptions {
  readonly dModel: number
  readonly nHeads: number
  readonly nKvHeads: number
  readonly dHead: number
  /** Tokens of a block, W; every token can also look at the block before. */
  readonly block: number
  /** Whether a token sees the W tokens before it and not itself, or itself and all of both blocks before it. */
  readonly strict: boolean
  readonly positions: T5Bias | XPos
  readonly similarity: SimilarityKind
  /** Recurrent vectors that tokens look at here, by their number. */
  readonly reads: readonly number[]
  readonly readSimilarity: SimilarityKind
  readonly projection?: LinearOptions
}

/** Keys and values of the block before and of the open one, `[B, up to 2 W, G, K]`, as they were projected. */
export interface BlockCache {
  readonly [name: string]: State
  readonly keys: Tensor | null
  readonly values: Tensor | null
}

/** Looks at recurrent vectors with queries of its own. */
class VectorReader extends Module {
  readonly qProj: Linear
  readonly similarity: Similarity

  constructor({ dModel, nHeads, dHead, readSimilarity, projection }: BlockAttentionOptions, rng: Rng) {
    super()
    this.qProj = new Linear(dModel, nHeads * dHead, rng, projection)
    this.similarity = new Similarity(readSimilarity, nHeads, dHead)
  }

  /** x `[B, T, D]` to `[B, T, H, K]`. */
  forward(x: Tensor, { keys, values }: KeysAndValues): Tensor {
    const [B, T] = x.shape as [number, number]
    const q = this.similarity.queries(reshape(this.qProj.forward(x), [B, T, -1, values.shape[3] as number]))
    return softmaxAttention({ q, k: this.similarity.keys(keys), v: values }, { causal: false, scale: 1 }).o
  }
}

/**
 * Attention of one block of tokens to itself and to the block before, and beside it to recurrent vectors.
 *
 *   y = W_o [Attn(x; x, previous) ‖ Attn(x; c_1) ‖ ...]
 *
 * x `[B, T, D]`, c_n `[B, M, D]` the vectors of a set, each read with queries of its own; W_o `[D, (1 + sets) H K]`. Works
 * inside a `BlockRecurrence`, which feeds it no more than the rest of a block at a time, and no padding: the vectors in
 * the pass are those of the rows at hand. Time O(W D) a token.
 * Paper: Hutchins et al. 2022, arXiv:2203.07852, section 3.1.
 */
export class BlockAttention extends Module implements SequenceMixer<BlockCache> {
  readonly traits: MixerTraits = { causal: true, padding: false, constantState: true }
  readonly qProj: Linear
  readonly kProj: Linear
  readonly vProj: Linear
  readonly oProj: Linear
  readonly similarity: Similarity
  readonly readers: VectorReader[]
  readonly distanceBias: T5Bias | null
  private readonly xpos: XPos | null

  constructor(
    readonly options: BlockAttentionOptions,
    rng: Rng,
  ) {
    super()
    const { dModel, nHeads, nKvHeads, dHead, positions, similarity, reads, projection = { bias: false } } = options
    this.qProj = new Linear(dModel, nHeads * dHead, rng, projection)
    this.kProj = new Linear(dModel, nKvHeads * dHead, rng, projection)
    this.vProj = new Linear(dModel, nKvHeads * dHead, rng, projection)
    this.oProj = new Linear(nHeads * dHead * (1 + reads.length), dModel, rng, projection)
    this.similarity = new Similarity(similarity, nHeads, dHead)
    this.readers = reads.map(() => new VectorReader({ ...options, projection }, rng))
    this.distanceBias = positions instanceof T5Bias ? positions : null
    this.xpos = positions instanceof T5Bias ? null : positions
  }

  initialState(): BlockCache {
    return { keys: null, values: null }
  }

  forward(x: Tensor, state: BlockCache = this.initialState(), pass?: Pass): Mixed<BlockCache> {
    const { dModel, nHeads, nKvHeads, dHead, reads } = this.options
    const { B, T } = dims('BlockAttention.forward x', x, 'B T D', { D: dModel })
    refusePadding('BlockAttention.forward', pass)
    const before = (kept: Tensor | null): Tensor | null => (kept === null ? null : this.reachable(kept))
    const keys = extended(before(state.keys), reshape(this.kProj.forward(x), [B, T, nKvHeads, dHead]))
    const values = extended(before(state.values), reshape(this.vProj.forward(x), [B, T, nKvHeads, dHead]))
    const q = reshape(this.qProj.forward(x), [B, T, nHeads, dHead])
    const found = [this.look(q, keys, values)]
    for (const [n, reader] of this.readers.entries()) {
      const shared = (kind: string): Tensor => pass?.shared?.get(`${kind}.${reads[n]}`) as Tensor
      found.push(reader.forward(x, { keys: shared('keys'), values: shared('values') }))
    }
    const o = joined(found, 2)
    return { y: this.oProj.forward(reshape(o, [B, T, -1])), state: { keys, values } }
  }

  /** Two full blocks are one to look back at, and nothing yet of the next. */
  private reachable(kept: Tensor): Tensor {
    const [B, S, G, K] = kept.shape as [number, number, number, number]
    const { block } = this.options
    return S < 2 * block ? kept : slice(kept, [0, block, 0, 0], [B, block, G, K])
  }

  private look(queries: Tensor, keys: Tensor, v: Tensor): Tensor {
    const { block, strict } = this.options
    const [B, S, G, K] = keys.shape as [number, number, number, number]
    const [, T, H] = queries.shape as [number, number, number]
    const [q, k] = [this.similarity.queries(queries), this.similarity.keys(keys)]
    if (this.xpos) {
      const turned = { q: this.xpos.queries(q, 2 * block - T), k: this.xpos.keys(k, 2 * block - S), v }
      return softmaxAttention(turned, { causal: true, scale: 1 }).o
    }
    const table = this.similarity.biases((this.distanceBias as T5Bias).table())
    if (!strict) return softmaxAttention({ q, k, v, relativeBias: table }, { causal: true, scale: 1 }).o
    if (S === 1) return zeros([B, 1, H, K])
    // without the newest key every query stands one further back, and the nearest key it sees is at distance 1
    const seen = (x: Tensor): Tensor => slice(x, [0, 0, 0, 0], [B, S - 1, G, K])
    const relativeBias = slice(table, [0, 1], [H, (table.shape[1] as number) - 1])
    return softmaxAttention({ q, k: seen(k), v: seen(v), relativeBias }, { causal: true, window: block, scale: 1 }).o
  }

  stateBytes(length: number): number {
    const { nKvHeads, dHead, block } = this.options
    const kept = length <= block ? length : block + ((length - 1) % block) + 1
    return 8 * nKvHeads * dHead * kept
  }
}

export interface BlockRecurrenceOptions {
  /** Tokens after which gradients are cut, a multiple of the block; Infinity for never. */
  readonly segment: number
  /** The layer that each set of vectors looks at to be rewritten. */
  readonly writers: readonly number[]
  /** What vectors look at: both blocks that tokens can see, zeros standing in for what is not there, or the new one. */
  readonly sees: 'window' | 'block'
}

export interface BlockRecurrenceState {
  readonly [name: string]: State
  readonly layers: readonly BlockCache[]
  /** `[B, M, D]` each. */
  readonly vectors: readonly Tensor[]
  /** Tokens since gradients were last cut. */
  readonly filled: number
}

/**
 * Layers of block attention, run block by block, with recurrent vectors that some of them look at and some rewrite.
 *
 *   y_b = f(x_b; x_{b-1}, c_b),   c_{b+1} = write(c_b; keys and values of x_{b-1} and x_b at the writer's layer)
 *
 * Tokens of a block look at the vectors from before it, in whatever layer; when the block is full, each set of vectors
 * looks at the keys and values of its layer and becomes the next. State: two blocks of keys and values a layer, and M
 * vectors a set, `[B, M, D]`; bounded. Time O(T (W + M) D) a layer.
 * Paper: Hutchins et al. 2022, arXiv:2203.07852, section 3.
 */
export class BlockRecurrence extends Module implements SequenceMixer<BlockRecurrenceState> {
  readonly traits: MixerTraits
  readonly layers: ResidualLayer[]
  readonly vectors: RecurrentVectors[]
  private readonly block: number
  private readonly dModel: number

  constructor(
    layers: readonly (LayerParts & { readonly mixer: BlockAttention })[],
    vectors: readonly RecurrentVectors[],
    private readonly options: BlockRecurrenceOptions,
  ) {
    super()
    this.block = layers[0]?.mixer.options.block ?? 0
    this.dModel = layers[0]?.mixer.options.dModel ?? 0
    const { segment, writers } = options
    if (!(this.block >= 1 && (segment % this.block === 0 || segment === Number.POSITIVE_INFINITY))) {
      throw new RangeError(
        `BlockRecurrence segment: expected a multiple of the block of ${this.block}, got ${segment}.`,
      )
    }
    const known = (layer: number): boolean => Number.isInteger(layer) && layer >= 0 && layer < layers.length
    if (writers.length !== vectors.length || !writers.every(known)) {
      throw new RangeError(
        `BlockRecurrence writers: expected one of ${layers.length} layers, counted from 0, for each of ${vectors.length} sets of vectors, got ${writers.join(', ')}.`,
      )
    }
    this.traits = {
      causal: true,
      padding: true,
      constantState: true,
      ...(Number.isFinite(segment) && { backprop: segment }),
    }
    this.layers = layers.map((parts) => new ResidualLayer(parts, 'pre'))
    this.vectors = [...vectors]
  }

  initialState(batch: number): BlockRecurrenceState {
    return {
      layers: this.layers.map(() => ({ keys: null, values: null })),
      vectors: this.vectors.map((set) => set.initialState(batch)),
      filled: 0,
    }
  }

  forward(x: Tensor, state?: BlockRecurrenceState, pass?: Pass): Mixed<BlockRecurrenceState> {
    const { B, T } = dims('BlockRecurrence.forward x', x, 'B T D', { D: this.dModel })
    const apart = rowByRow(this, x, state, pass)
    if (apart !== null) return apart
    const left = ({ filled }: BlockRecurrenceState): number => this.block - (filled % this.block)
    return bySegments(T, state ?? this.initialState(B), left, (tokens, before) => {
      const { y, state: after } = this.inBlock(pieceOf(x, tokens, 1), before, pass)
      return { y, state: after.filled === this.options.segment ? { ...detach(after), filled: 0 } : after }
    })
  }

  private inBlock(x: Tensor, state: BlockRecurrenceState, pass?: Pass): Mixed<BlockRecurrenceState> {
    const own = this.vectors.map((set, n) => set.keysAndValues(state.vectors[n] as Tensor))
    const shared = new Map(
      own.flatMap(({ keys, values }, n): [string, Tensor][] => [
        [`keys.${n}`, keys],
        [`values.${n}`, values],
      ]),
    )
    const within: Pass = { ...(pass ?? { training: false }), shared }
    const layers: BlockCache[] = []
    let y = x
    for (const [i, layer] of this.layers.entries()) {
      const record = within.record?.at(`layers.${i}`)
      const mixed = layer.forward(y, state.layers[i] as BlockCache, { ...within, ...(record && { record }) })
      y = mixed.y
      layers.push(mixed.state as BlockCache)
    }
    const filled = state.filled + (x.shape[1] as number)
    if (filled % this.block !== 0) return { y, state: { layers, vectors: state.vectors, filled } }
    const vectors = this.vectors.map((set, n) => {
      const { keys, values } = layers[this.options.writers[n] as number] as BlockCache
      const tokens = { keys: this.seen(keys as Tensor), values: this.seen(values as Tensor) }
      return set.write(state.vectors[n] as Tensor, own[n] as KeysAndValues, tokens)
    })
    // with no cut in sight the number of tokens would tell states of the same block apart
    return { y, state: { layers, vectors, filled: Number.isFinite(this.options.segment) ? filled : 0 } }
  }

  /** Of the keys or values of a layer whose block is full, those that vectors look at. */
  private seen(cached: Tensor): Tensor {
    const [B, S, G, K] = cached.shape as [number, number, number, number]
    if (this.options.sees === 'window') return S > this.block ? cached : front(cached, this.block)
    return S === this.block ? cached : slice(cached, [0, S - this.block, 0, 0], [B, this.block, G, K])
  }

  stateBytes(length: number): number {
    const layers = this.layers.reduce((total, layer) => total + layer.stateBytes(length), 0)
    return this.vectors.reduce((total, set) => total + set.stateBytes(), layers)
  }
}

/** With rows of zeros put in front along time. */
function front(x: Tensor, rows: number): Tensor {
  return pad(x, [
    [0, 0],
    [rows, 0],
    [0, 0],
    [0, 0],
  ])
}
