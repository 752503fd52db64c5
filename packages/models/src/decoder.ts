import {
  type BaseConfig,
  constant,
  Embedding,
  LanguageModel,
  type LayerParts,
  Linear,
  normalInit,
  parameter,
  type ResidualStack,
  Rng,
  residualStack,
  type SequenceMixer,
  type StackOptions,
  type TokenMap,
} from '@mneme/core-tensor'

/** What every decoder here has, whatever mixes its tokens. */
export interface DecoderConfig extends BaseConfig {
  readonly dModel: number
  readonly nLayers: number
  /** The output matrix is the embedding table. */
  readonly tieEmbeddings: boolean
}

export interface DecoderParts {
  /** The layers one by one, each of one or more residual parts; a hybrid looks at the index. */
  readonly layer: (index: number, rng: Rng) => LayerParts | readonly LayerParts[]
  readonly norm: TokenMap | null
  /** In place of the norm: what makes the vectors that are scored. */
  readonly scored?: (rng: Rng) => TokenMap
  readonly stack?: StackOptions
  /** What stands around the layers: positions, segments. */
  readonly around?: (body: ResidualStack, rng: Rng) => SequenceMixer
  /** Deviation of the initial embedding. */
  readonly embeddingStd: number
  /** A token whose vector learns nothing from being read. */
  readonly unlearned?: number | null
  /** Deviation of the initial output weights; PyTorch's uniform where it is not given. */
  readonly headStd?: number
  readonly embeddingScale?: number
  readonly embeddingNorm?: TokenMap
  readonly scoreCap?: number
  /** A bias on the scores. */
  readonly headBias?: boolean
}

/** Embedding, residual stack, final norm, output matrix: a decoder is this with its own layers. */
export function decoder(config: DecoderConfig, parts: DecoderParts): LanguageModel {
  const rng = new Rng(config.seed)
  const { vocabulary, dModel } = config
  const embedding = new Embedding(vocabulary, dModel, rng.fork('embedding'), parts.embeddingStd, parts.unlearned)
  const body: ResidualStack = residualStack(
    Array.from({ length: config.nLayers }, (_, i) => parts.layer(i, rng.fork(`layer ${i}`))).flat(),
    parts.stack,
  )
  const head = config.tieEmbeddings
    ? null
    : new Linear(dModel, vocabulary, rng.fork('head'), {
        bias: parts.headBias ?? false,
        ...(parts.headStd !== undefined && { init: normalInit(parts.headStd) }),
      })
  return new LanguageModel({
    embedding,
    body: parts.around?.(body, rng.fork('around')) ?? body,
    norm: parts.scored?.(rng.fork('scored')) ?? parts.norm,
    head,
    headBias: parts.headBias && head === null ? parameter(constant([vocabulary], 0)) : null,
    embeddingScale: parts.embeddingScale ?? 1,
    embeddingNorm: parts.embeddingNorm ?? null,
    ...(parts.scoreCap !== undefined && { scoreCap: parts.scoreCap }),
  })
}
