import { type ContextKeys, CrossAttention, type DistanceBiases } from '@mneme/attention/cross-attention'
import { T5Bias } from '@mneme/attention/position-bias'
import { SoftmaxAttention } from '@mneme/attention/softmax-attention'
import {
  bySegments,
  dims,
  Embedding,
  equalParts,
  extended,
  FeedForward,
  LanguageModel,
  LayerNorm,
  Linear,
  type Mixed,
  type MixerTraits,
  Module,
  type Pass,
  pieceOf,
  type ResidualStack,
  type Rng,
  residualStack,
  rowByRow,
  type SequenceMixer,
  type Session,
  type SessionOptions,
  type State,
  sessionOf,
  type TokenModel,
} from '@mneme/core-tensor'
import { MemorySlots, type MemorySlotsOptions } from '@mneme/memory/memory-slots'
import { clone, type Tensor, zerosLike } from '@tensorflow/tfjs-core'

/** Layers of an encoder or a decoder. */
export interface SideOptions {
  readonly vocabulary: number
  readonly nLayers: number
  readonly nHeads: number
  /** Whether keys after a query have biases of their own. */
  readonly bothWays: boolean
}

export interface MemformerOptions {
  readonly dModel: number
  readonly dInner: number
  /** Tokens of a segment. */
  readonly segment: number
  readonly buckets: number
  readonly maxDistance: number
  readonly encoder: SideOptions
  /** Null for an encoder alone, which reads and remembers but gives no scores. */
  readonly decoder: SideOptions | null
  readonly memory: Omit<MemorySlotsOptions, 'dModel' | 'dInner' | 'reads'>
}

export interface MemformerState {
  readonly [name: string]: State
  /** Slots that the next segment to be encoded reads, `[B, M, D]`. */
  readonly memory: Tensor
  /** int32 `[B, ·]`: tokens of the open segment; null before its first. */
  readonly ids: Tensor | null
  /** Caches of the decoder, and its keys and values of the segment before. */
  readonly decoder: readonly State[]
}

/** All tokens of a segment look at each other. */
class SegmentAttention extends Module implements SequenceMixer<null> {
  readonly traits: MixerTraits = { causal: false, padding: true, constantState: true }

  constructor(
    readonly attention: CrossAttention,
    readonly distanceBias: T5Bias,
  ) {
    super()
  }

  initialState(): null {
    return null
  }

  forward(x: Tensor, _state?: null, pass?: Pass): Mixed<null> {
    const apart = rowByRow(this, x, null, pass)
    if (apart !== null) return apart
    const biases: DistanceBiases = this.distanceBias.tableBothWays()
    return { y: this.attention.forward(x, this.attention.context(x), biases), state: null }
  }

  stateBytes(): number {
    return 0
  }
}

/** Every token looks at a context that the state holds, ready to be looked at; without one it finds nothing. */
class ContextAttention extends Module implements SequenceMixer<ContextKeys | null> {
  readonly traits: MixerTraits = { causal: true, padding: true, constantState: true }

  constructor(readonly attention: CrossAttention) {
    super()
  }

  initialState(): null {
    return null
  }

  forward(x: Tensor, state: ContextKeys | null = null, pass?: Pass): Mixed<ContextKeys | null> {
    const apart = rowByRow(this, x, state, pass)
    if (apart !== null) return apart
    return { y: state === null ? zerosLike(x) : this.attention.forward(x, state), state }
  }

  stateBytes(): number {
    return 0
  }
}

/** Layers of self-attention, a look at a context, and a feed-forward: two residual layers each. */
function stackOf(
  { dModel, dInner }: MemformerOptions,
  { nLayers, nHeads }: SideOptions,
  self: () => SequenceMixer,
  rng: Rng,
): ResidualStack {
  const norm = (): LayerNorm => new LayerNorm(dModel)
  return residualStack(
    Array.from({ length: nLayers }, () => [
      { mixer: self(), mixerNorm: norm() },
      {
        mixer: new ContextAttention(attentionOf(dModel, nHeads, rng)),
        mixerNorm: norm(),
        mlp: new FeedForward(dModel, dInner, rng),
        mlpNorm: norm(),
      },
    ]).flat(),
  )
}

const widthOf = (nHeads: number, dModel: number): number => equalParts('nHeads', nHeads, 'dModel', dModel)
const attentionOf = (dModel: number, nHeads: number, rng: Rng): CrossAttention =>
  new CrossAttention(
    { dModel, dContext: dModel, nHeads, nKvHeads: nHeads, dHead: widthOf(nHeads, dModel), projection: { bias: true } },
    rng,
  )

/** The initial states of a stack, with `context` to look at. */
function lookingAt(stack: ResidualStack, context: Tensor): readonly State[] {
  const batch = context.shape[0] as number
  return stack.layers.map((layer) =>
    layer.mixer instanceof ContextAttention ? layer.mixer.attention.context(context) : layer.initialState(batch),
  )
}

class Encoder extends Module {
  readonly embedding: Embedding
  readonly body: ResidualStack
  readonly norm: LayerNorm

  constructor(options: MemformerOptions, rng: Rng) {
    super()
    const { dModel, encoder } = options
    const bias = new T5Bias({ ...options, ...encoder }, rng)
    const self = (): SequenceMixer => new SegmentAttention(attentionOf(dModel, encoder.nHeads, rng), bias)
    this.embedding = new Embedding(encoder.vocabulary, dModel, rng)
    this.body = stackOf(options, encoder, self, rng)
    this.norm = new LayerNorm(dModel)
  }
}

function decoderOf(options: MemformerOptions, decoder: SideOptions, rng: Rng): LanguageModel {
  const { dModel } = options
  const { vocabulary, nHeads } = decoder
  const distanceBias = new T5Bias({ ...options, ...decoder }, rng)
  const heads = { nHeads, nKvHeads: nHeads, dHead: widthOf(nHeads, dModel) }
  const attention = { dModel, ...heads, window: 0, rotary: null, distanceBias, projection: { bias: true } }
  return new LanguageModel({
    embedding: new Embedding(vocabulary, dModel, rng),
    body: stackOf(options, decoder, () => new SoftmaxAttention(attention, rng), rng),
    norm: new LayerNorm(dModel),
    head: new Linear(dModel, vocabulary, rng),
  })
}

/**
 * An encoder that reads slots and rewrites them after every segment, and a decoder that looks at what it made.
 *
 *   E_s = Enc(x_s; M_s),   M_{s+1} = write(M_s, E_s),   scores of segment s + 1: Dec(x_{s+1}; E_s)
 *
 * As a language model, the decoder continues the segment that the encoder has read: it looks at no token to come. State:
 * M slots, the ids of the open segment, and the decoder's keys and values of two segments; bounded.
 * Paper: Wu et al. 2020, arXiv:2010.06891, section 3.
 */
export class Memformer extends Module implements TokenModel<MemformerState> {
  readonly input = 'tokens'
  readonly traits: MixerTraits = { causal: true, padding: true, constantState: true }
  readonly encoder: Encoder
  readonly decoder: LanguageModel | null
  readonly slots: MemorySlots

  constructor(
    private readonly options: MemformerOptions,
    rng: Rng,
  ) {
    super()
    this.encoder = new Encoder(options, rng.fork('encoder'))
    this.decoder = options.decoder && decoderOf(options, options.decoder, rng.fork('decoder'))
    this.slots = new MemorySlots({ ...options, ...options.memory, reads: false }, rng.fork('slots'))
  }

  get vocabulary(): number {
    return (this.options.decoder ?? this.options.encoder).vocabulary
  }

  initialState(batch: number): MemformerState {
    const decoder = this.decoder === null ? [] : (this.decoder.initialState(batch) as readonly State[])
    return { memory: this.slots.initialState(batch), ids: null, decoder }
  }

  /** One segment, int32 `[B, L]`, and the slots before it, to what is made of it, `[B, L, D]`, and the slots after it. */
  encode(ids: Tensor, memory?: Tensor): Mixed<Tensor> {
    const { B } = dims('Memformer.encode ids', ids, 'B L')
    const { embedding, body, norm } = this.encoder
    const slots = memory ?? this.slots.initialState(B)
    const y = norm.forward(body.forward(embedding.forward(ids), lookingAt(body, slots)).y)
    return { y, state: this.slots.write(slots, { h: y }) }
  }

  /** Scores of a text, int32 `[B, T]`, over an encoded segment `[B, L, D]`. */
  decode(ids: Tensor, encoded: Tensor): Tensor {
    const decoder = this.needed()
    return decoder.forward(ids, lookingAt(decoder.body as ResidualStack, encoded)).y
  }

  forward(ids: Tensor, state?: MemformerState, pass?: Pass): Mixed<MemformerState> {
    const decoder = this.needed()
    const { B, T } = dims('Memformer.forward ids', ids, 'B T')
    const apart = rowByRow(this, ids, state, pass, this.vocabulary)
    if (apart !== null) return apart
    const left = (open: MemformerState): number => this.options.segment - (open.ids?.shape[1] ?? 0)
    return bySegments(T, state ?? this.initialState(B), left, (tokens, before) => {
      // the state must not hold the caller's own tensor, which whoever frees the state would free with it
      const piece = clone(pieceOf(ids, tokens, 1))
      const mixed = decoder.forward(piece, before.decoder, pass)
      const read = extended(before.ids, piece)
      const open = { memory: before.memory, ids: read, decoder: mixed.state as readonly State[] }
      return { y: mixed.y, state: tokens.size === left(before) ? this.close(open, decoder) : open }
    })
  }

  /** Encodes the segment, for the decoder to look at, and remembers it. */
  private close({ memory, ids }: MemformerState, decoder: LanguageModel): MemformerState {
    const { y, state } = this.encode(ids as Tensor, memory)
    return { memory: state, ids: null, decoder: lookingAt(decoder.body as ResidualStack, y) }
  }

  private needed(): LanguageModel {
    if (this.decoder !== null) return this.decoder
    throw new Error('Memformer.forward: expected a decoder, got an encoder alone. Use encode.')
  }

  stateBytes(length: number): number {
    const { dModel, segment, decoder } = this.options
    const open = length % segment
    const cached = open + (length >= segment ? segment : 0)
    return this.slots.stateBytes() + 4 * open + 8 * dModel * (decoder?.nLayers ?? 0) * cached
  }

  session(options?: SessionOptions): Promise<Session> {
    return sessionOf(this, options)
  }
}
