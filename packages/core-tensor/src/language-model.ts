import { cast, div, maximum, mul, reshape, scalar, sum, type Tensor, type Variable } from '@tensorflow/tfjs-core'
import type { Mixed, MixerTraits, Pass, SequenceMixer } from './mixer.js'
import { Module } from './module.js'
import { softCap } from './nn/activations.js'
import { Embedding, type TokenEmbedding } from './nn/embedding.js'
import type { TokenMap } from './nn/feed-forward.js'
import { Linear } from './nn/linear.js'
import { affine } from './ops/affine.js'
import { crossEntropy } from './ops/cross-entropy.js'
import { linearCrossEntropy } from './ops/linear-cross-entropy.js'
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
  /** Optional form of `lossOf` that needs less memory; must equal it. */
  loss?(ids: Tensor, targets: Tensor, options: LossOptions): LossAfter
  /** Bytes of state of one row after `length` tokens. */
  stateBytes(length: number): number
  /** A conversation with the model, from the initial state. */
  session(options?: SessionOptions): Promise<Session>
}

export interface LossOptions {
  /** 1 where a position counts, `[B, T]`; all do without. */
  readonly mask?: Tensor | undefined
  readonly state?: State
  readonly pass?: Pass
}

export interface Loss {
  /** Mean over the positions that count, in nats. */
  readonly loss: Tensor
  /** Negative log-likelihood of each position, `[B, T]`, before the mask. */
  readonly nll: Tensor
}

export interface LossAfter extends Loss {
  readonly state: State
}

/** From so many words on, scores never stand whole in training. */
const MANY_WORDS = 4096

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

  /** As `lossOf`; with many words their scores are made and used up piece by piece. */
  loss(ids: Tensor, targets: Tensor, { mask, state, pass }: LossOptions): LossAfter {
    const output = this.vocabulary < MANY_WORDS || this.scoreCap !== undefined ? null : this.output
    if (output === null) {
      const { y, state: after } = this.forward(ids, state, pass)
      return { ...nextTokenLoss(y, targets, mask), state: after }
    }
    const { y, state: after } = this.hidden(ids, state, pass)
    const { B, T, D } = dims('LanguageModel.loss hidden', y, 'B T D')
    dims('LanguageModel.loss targets', targets, 'B T', { B, T })
    const { nll } = linearCrossEntropy({ hidden: reshape(y, [B * T, D]), ...output, targets: flatTargets(targets) })
    return { ...meanOf(reshape(nll, [B, T]), mask), state: after }
  }

  /** The output as one matrix, where it is one. */
  private get output(): { readonly weight: Tensor; readonly bias?: Tensor } | null {
    if (this.head === null) {
      return { weight: (this.embedding as Embedding).weight, ...(this.headBias && { bias: this.headBias }) }
    }
    if (!(this.head instanceof Linear)) return null
    return { weight: this.head.weight, ...(this.head.bias && { bias: this.head.bias }) }
  }

  /** What the output matrix gets, `[B, T, D]`. */
  private hidden(ids: Tensor, state?: State, pass?: Pass): Mixed<State> {
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

/** Mean negative log-likelihood of targets int32 `[B, T]` after ids `[B, T]`, and the state after them. */
export function lossOf(model: TokenModel, ids: Tensor, targets: Tensor, options: LossOptions = {}): LossAfter {
  if (model.loss) return model.loss(ids, targets, options)
  const { y, state } = model.forward(ids, options.state, options.pass)
  return { ...nextTokenLoss(y, targets, options.mask), state }
}

/**
 * Mean negative log-likelihood of the targets where mask is 1. scores `[B, T, V]`, targets int32 `[B, T]` (any value
 * where mask is 0), mask `[B, T]` or none.
 */
export function nextTokenLoss(scores: Tensor, targets: Tensor, mask?: Tensor): Loss {
  const { B, T, V } = dims('nextTokenLoss scores', scores, 'B T V')
  dims('nextTokenLoss targets', targets, 'B T', { B, T })
  const nll = crossEntropy({ logits: reshape(scores, [B * T, V]), targets: flatTargets(targets) }).nll
  return meanOf(reshape(nll, [B, T]), mask)
}

/** `[B T]` targets; an ignored one may be -100, which is no row of any table. */
function flatTargets(targets: Tensor): Tensor {
  const ids = targets.dtype === 'int32' ? targets : cast(targets, 'int32')
  return reshape(maximum(ids, scalar(0, 'int32')), [-1])
}

function meanOf(nll: Tensor, mask: Tensor | undefined): Loss {
  if (mask === undefined) return { loss: div(sum(nll), nll.size), nll }
  return { loss: div(sum(mul(nll, mask)), maximum(sum(mask), 1)), nll }
}
