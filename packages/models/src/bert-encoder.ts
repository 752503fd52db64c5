import { EncoderAttention } from '@mneme/attention/encoder-attention'
import {
  type Activation,
  constant,
  equalParts,
  FeedForward,
  type LanguageModel,
  LayerNorm,
  LearnedPositions,
  Linear,
  type LinearOptions,
  Module,
  normalInit,
  type Rng,
  type SequenceMixer,
  type TokenMap,
  TokenTypes,
} from '@mneme/core-tensor'
import type { Tensor } from '@tensorflow/tfjs-core'
import { type ActivationName, activations } from './activations.js'
import { type DecoderConfig, decoder } from './decoder.js'

export interface BertConfig extends DecoderConfig {
  readonly nHeads: number
  /** Inner width of the feed-forward. */
  readonly dInner: number
  /** Most tokens of a sequence. */
  readonly positions: number
  /** A vector for each position, or scores by distance, of queries alone or of queries and keys. */
  readonly positionType: 'absolute' | 'relative_key' | 'relative_key_query'
  /** Kinds of tokens that are told apart. */
  readonly tokenTypes: number
  readonly activation: ActivationName
  /** The token of padding, whose vector learns nothing from being read; null where there is none. */
  readonly padToken: number | null
  readonly normEps: number
  readonly initStd: number
}

/** What scores are taken of: `LN(activation(W x + b))`. */
class ScoredVectors extends Module implements TokenMap {
  readonly dense: Linear
  readonly norm: LayerNorm

  constructor(
    dModel: number,
    normEps: number,
    options: LinearOptions,
    private readonly activation: Activation,
    rng: Rng,
  ) {
    super()
    this.dense = new Linear(dModel, dModel, rng, options)
    this.norm = new LayerNorm(dModel, normEps)
  }

  forward(x: Tensor): Tensor {
    return this.norm.forward(this.activation(this.dense.forward(x)))
  }
}

/** BERT; `around` puts something between its embeddings of tokens and the rest. */
export function bertEncoder(
  config: BertConfig,
  around = (encoder: SequenceMixer, _: Rng): SequenceMixer => encoder,
): LanguageModel {
  const { dModel, nHeads, dInner, positions, positionType, tokenTypes, normEps, initStd } = config
  const projection = { init: normalInit(initStd), biasInit: (_: Rng, shape: readonly number[]) => constant(shape, 0) }
  const activation = activations[config.activation]
  const of = positionType === 'relative_key' ? 'query' : 'query and key'
  const distances = positionType === 'absolute' ? null : ({ positions, std: initStd, of } as const)
  const attention = { dModel, nHeads, dHead: equalParts('nHeads', nHeads, 'dModel', dModel), distances, projection }
  return decoder(config, {
    embeddingStd: initStd,
    headStd: initStd,
    headBias: true,
    unlearned: config.padToken,
    norm: null,
    scored: (rng) => new ScoredVectors(dModel, normEps, projection, activation, rng),
    stack: { norm: 'post', inputNorm: new LayerNorm(dModel, normEps) },
    layer: (_, rng) => ({
      mixer: new EncoderAttention(attention, rng) as unknown as SequenceMixer,
      mixerNorm: new LayerNorm(dModel, normEps),
      mlp: new FeedForward(dModel, dInner, rng, projection, activation),
      mlpNorm: new LayerNorm(dModel, normEps),
    }),
    around: (body, rng) => {
      const typed = new TokenTypes({ dModel, types: tokenTypes, std: initStd }, body as unknown as SequenceMixer, rng)
      const placed = distances === null ? new LearnedPositions({ dModel, positions, std: initStd }, typed, rng) : typed
      return around(placed as unknown as SequenceMixer, rng)
    },
  })
}
