import { Aaren } from '@mneme/attention/aaren'
import {
  FeedForward,
  type LanguageModel,
  LayerNorm,
  normalInit,
  type Paper,
  relu,
  withDefaults,
} from '@mneme/core-tensor'
import { type DecoderConfig, decoder } from './decoder.js'
import { ifUsed } from './if-used.js'
import { vectors } from './recipes.js'

export interface AarenConfig extends DecoderConfig {
  readonly nHeads: number
  readonly dHead: number
  /** Inner width of the feed-forward. */
  readonly dInner: number
  /** Whether norms stand behind each part, as in the first transformers, or in front. */
  readonly postNorm: boolean
  readonly normEps: number
  readonly initStd: number
  readonly chunk: number
}

const defaults: AarenConfig = {
  vocabulary: 256,
  dModel: 64,
  nLayers: 2,
  nHeads: 4,
  dHead: 16,
  dInner: 256,
  postNorm: true,
  normEps: 1e-5,
  initStd: 0.02,
  chunk: 64,
  tieEmbeddings: false,
  seed: 0,
}

function build(config: AarenConfig): LanguageModel {
  const { dModel, dInner, postNorm, normEps, initStd } = config
  const norm = (): LayerNorm => new LayerNorm(dModel, normEps)
  const projection = { init: normalInit(initStd) }
  return decoder(config, {
    embeddingStd: initStd,
    embeddingScale: Math.sqrt(dModel),
    headStd: initStd,
    norm: postNorm ? null : norm(),
    stack: { norm: postNorm ? 'post' : 'pre' },
    layer: (_, rng) => ({
      mixerNorm: norm(),
      mixer: new Aaren({ ...config, projection }, rng),
      mlpNorm: norm(),
      mlp: new FeedForward(dModel, dInner, rng, projection, relu),
    }),
  })
}

const tiny: AarenConfig = {
  vocabulary: 13,
  dModel: 6,
  nLayers: 2,
  nHeads: 2,
  dHead: 3,
  dInner: 8,
  postNorm: true,
  normEps: 1e-5,
  initStd: 0.4,
  chunk: 4,
  tieEmbeddings: true,
  seed: 0,
}

/**
 * Attention as a recurrence: Feng et al. 2024, arXiv:2405.13956. `config` is laid over the defaults.
 *
 * @throws RangeError for a key that does not exist
 */
export function aaren(config: Partial<AarenConfig> = {}): LanguageModel {
  return build(withDefaults('aaren', defaults, config))
}

const paper: Paper<AarenConfig, LanguageModel> = {
  card: {
    key: 'aaren',
    title: 'Attention as an RNN',
    authors: 'Feng, Tung, Hajimirsadeghi, Ahmed, Bengio, Mori',
    year: 2024,
    arxiv: '2405.13956',
    kind: 'language model',
    family: 'attention',
    equation:
      'o_t = \\sum_{j \\le t} \\mathrm{softmax}_j\\!\\left(\\tfrac{q \\cdot k_j}{\\sqrt K}\\right) v_j, \\quad q = W_q p',
    state: 'greatest score, sum of weights and weighted sum, H (K + 2) values a layer',
    cost: 'O(D² + H K)',
    differs: [
      'A language model; the paper has encoders of series and of events.',
      'Norms stand behind each part unless postNorm is off, ReLU in the feed-forward, and no positions: the paper does not say.',
      'Scores are q·k / √K.',
    ],
    claim:
      'The last of several kinds of marker, and running means, over streams: as accurate as the transformer, with time and bytes a token that do not grow. Associative recall in one layer: at chance, since no query depends on the token.',
  },
  config: defaults,
  tiny,
  recipe: { lr: 3e-3, weightDecay: 0.01, groups: [vectors, { match: /\.query$/, weightDecay: 0 }] },
  build,
}

/** Small configurations of what `tiny` does not reach, by name, for the laws. */
export const moreTiny: Readonly<Record<string, AarenConfig>> = /* @__PURE__ */ ifUsed(() => ({
  'norms in front': { ...tiny, postNorm: false, nLayers: 1, tieEmbeddings: false },
}))

export default paper
