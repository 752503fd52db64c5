import { mul, type Tensor, type Variable } from '@tensorflow/tfjs-core'
import type { Mixed, MixerTraits, Pass, SequenceMixer } from './mixer.js'
import { Module } from './module.js'
import { softCap } from './nn/activations.js'
import { Embedding, type TokenEmbedding } from './nn/embedding.js'
import type { TokenMap } from './nn/feed-forward.js'
import { Linear } from './nn/linear.js'
import { affine } from './ops/affine.js'
import type { Session, SessionOptions } from './session.js'
import { dims } from './shape.js'
import type { State } from './state.js'
import { tap } from './watch.js'

/** Where input vectors and output scores come from, when it is more than a table and a matrix. */
export interface LanguageParts {
  readonly embedding: TokenEmbedding
  readonly body: SequenceMixer
  readonly norm?: TokenMap | null
  /** From `[B, T, D]` to scores; null ties the output to the embedding, which then is a table. */
  readonly head: TokenMap | null
  /** Added to the scores, `[V]`, where the output matrix is tied and still has a bias. */
  readonly headBias?: Variable | null
  /** Multiplies the embedded tokens. */
  readonly embeddingScale?: number
  /** Of the embedded tokens, before the body. */
  readonly embeddingNorm?: TokenMap | null
  /** Bounds the scores softly: `c tanh(score / c)`. */
  readonly scoreCap?: number
}

/** What trains and is sampled from, whatever its architecture: tokens in, scores of the next token out. */
export interface TokenModel<S extends State = State> extends Module {
  readonly input: 'tokens'
  readonly vocabulary: number
  readonly traits: MixerTraits
  /** The state before the first token of `batch` rows. Differentiable: may read parameters. */
  initialState(batch: number): S
  /** int32 `[B, T]` to scores `[B, T, V]`. */
  forward(ids: Tensor, state?: S, pass?: Pass): Mixed<S>
  /** Optional faster form for T = 1; must equal `forward`. */
  step?(ids: Tensor, state: S): Mixed<S>
  /** Optional, with `output`: what the output matrix gets, `[B, T, D]`; `lossOf` then never holds all scores of many words. */
  hidden?(ids: Tensor, state?: S, pass?: Pass): Mixed<S>
  /** The output as one matrix; null where it is more. */
  readonly output?: OutputMatrix | null
  /** Bytes of state of one row after `length` tokens. */
  stateBytes(length: number): number
  /** A conversation with the model, from the initial state. */
  session(options?: SessionOptions): Promise<Session>
}

/** What turns hidden vectors `[B, T, D]` into scores: `x Wᵀ + b`. */
export interface OutputMatrix {
  readonly weight: Tensor
  readonly bias?: Tensor
}

/** Embedding, body, final norm and output matrix: every decoder here is this with another body. */
export class LanguageModel extends Module implements TokenModel {
  readonly input = 'tokens'
  readonly embedding: TokenEmbedding
  readonly embeddingNorm: TokenMap | null
  readonly body: SequenceMixer
  readonly norm: TokenMap | null
  readonly head: TokenMap | null
  readonly headBias: Variable | null
  private readonly embeddingScale: number
  private readonly scoreCap: number | undefined

  constructor({
    embedding,
    embeddingNorm = null,
    body,
    norm = null,
    head,
    headBias = null,
    embeddingScale = 1,
    scoreCap,
  }: LanguageParts) {
    super()
    if (head === null && !(embedding instanceof Embedding)) {
      throw new TypeError('LanguageModel head: expected one, got null, which only a table of vectors can stand in for.')
    }
    this.embedding = embedding
    this.embeddingNorm = embeddingNorm
    this.body = body
    this.norm = norm
    this.head = head
    this.headBias = headBias
    this.embeddingScale = embeddingScale
    this.scoreCap = scoreCap
  }

  get vocabulary(): number {
    return this.embedding.vocabulary
  }

  get traits(): MixerTraits {
    return this.body.traits
  }

  /** That of the body. */
  initialState(batch: number): State {
    return this.body.initialState(batch)
  }

  /** int32 `[B, T]` to scores `[B, T, V]`, before the softmax. */
  forward(ids: Tensor, state?: State, pass?: Pass): Mixed<State> {
    const { y: h, state: after } = this.hidden(ids, state, pass)
    const scores = this.head ? this.head.forward(h) : this.tied(h)
    return { y: this.scoreCap === undefined ? scores : softCap(this.scoreCap)(scores), state: after }
  }

  /** The output as one matrix, where it is one. */
  get output(): OutputMatrix | null {
    if (this.scoreCap !== undefined) return null
    if (this.head === null) {
      return { weight: (this.embedding as Embedding).weight, ...(this.headBias && { bias: this.headBias }) }
    }
    if (!(this.head instanceof Linear)) return null
    return { weight: this.head.weight, ...(this.head.bias && { bias: this.head.bias }) }
  }

  /** What the output matrix gets, `[B, T, D]`. */
  hidden(ids: Tensor, state?: State, pass?: Pass): Mixed<State> {
    const { B } = dims('LanguageModel.forward ids', ids, 'B T')
    const embedded = this.embedding.forward(ids)
    const scaled = this.embeddingScale === 1 ? embedded : mul(embedded, this.embeddingScale)
    const x = tap('embedded', this.embeddingNorm ? this.embeddingNorm.forward(scaled) : scaled)
    const mixed = this.body.forward(x, state ?? this.initialState(B), pass)
    return { y: this.norm ? this.norm.forward(mixed.y) : mixed.y, state: mixed.state }
  }

  private tied(h: Tensor): Tensor {
    const { weight } = this.embedding as Embedding
    return affine({ x: h, weight, ...(this.headBias && { bias: this.headBias }) }).y
  }

  /** That of the body. */
  stateBytes(length: number): number {
    return this.body.stateBytes(length)
  }

  session(options?: SessionOptions): Promise<Session> {
    return sessionOf(this, options)
  }
}

/** A session of any model of tokens, whose code is loaded now. @throws RangeError for a model that looks both ways */
export async function sessionOf(model: TokenModel, options?: SessionOptions): Promise<Session> {
  const { Session } = await import('./session.js')
  return new Session(model, options)
}
