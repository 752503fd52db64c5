import {
  type BaseConfig,
  constant,
  Embedding,
  LanguageModel,
  type LanguageParts,
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
  /** Input vectors and output scores, where they are more than a table and a matrix. */
  readonly tokens?: (forEmbedding: Rng, forHead: Rng) => Required<Pick<LanguageParts, 'embedding' | 'head'>>
  /** A bias on the scores. */
  readonly headBias?: boolean
}

/** Embedding, residual stack, final norm, output matrix: a decoder is this with its own layers. */
export function decoder(config: DecoderConfig, parts: DecoderParts): LanguageModel {
  const rng = new Rng(config.seed)
  const forEmbedding = rng.fork('embedding')
  const body: ResidualStack = residualStack(
    Array.from({ length: config.nLayers }, (_, i) => parts.layer(i, rng.fork(`layer ${i}`))).flat(),
    parts.stack,
  )
  const forHead = rng.fork('head')
  const tokens = parts.tokens?.(forEmbedding, forHead) ?? plainTokens(config, parts, forEmbedding, forHead)
  return new LanguageModel({
    ...tokens,
    body: parts.around?.(body, rng.fork('around')) ?? body,
    norm: parts.scored?.(rng.fork('scored')) ?? parts.norm,
    headBias: parts.headBias && tokens.head === null ? parameter(constant([config.vocabulary], 0)) : null,
    embeddingScale: parts.embeddingScale ?? 1,
    embeddingNorm: parts.embeddingNorm ?? null,
    ...(parts.scoreCap !== undefined && { scoreCap: parts.scoreCap }),
  })
}

function plainTokens(
  { vocabulary, dModel, tieEmbeddings }: DecoderConfig,
  { embeddingStd, unlearned, headStd, headBias = false }: DecoderParts,
  forEmbedding: Rng,
  forHead: Rng,
): Required<Pick<LanguageParts, 'embedding' | 'head'>> {
  const head = { bias: headBias, ...(headStd !== undefined && { init: normalInit(headStd) }) }
  return {
    embedding: new Embedding(vocabulary, dModel, forEmbedding, embeddingStd, unlearned),
    head: tieEmbeddings ? null : new Linear(dModel, vocabulary, forHead, head),
  }
}
