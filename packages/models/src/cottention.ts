import { Cottention } from '@mneme/attention/cottention'
import {
  FeedForward,
  geluTanh,
  type LanguageModel,
  LayerNorm,
  normalInit,
  type Paper,
  withDefaults,
} from '@mneme/core-tensor'
import { type DecoderConfig, decoder } from './decoder.js'
import { ifUsed } from './if-used.js'
import { vectors } from './recipes.js'

export interface CottentionConfig extends DecoderConfig {
  readonly nHeads: number
  readonly dHead: number
  /** Features of a head that rotary positions turn, neighbours together; 0 for none. */
  readonly rotaryDims: number
  readonly ropeBase: number
  /** Inner width of the feed-forward. */
  readonly dInner: number
  readonly normEps: number
  readonly initStd: number
  readonly chunk: number
}

const defaults: CottentionConfig = {
  vocabulary: 256,
  dModel: 64,
  nLayers: 2,
  nHeads: 4,
  dHead: 16,
  rotaryDims: 8,
  ropeBase: 10000,
  dInner: 256,
  normEps: 1e-5,
  initStd: 0.02,
  chunk: 64,
  tieEmbeddings: false,
  seed: 0,
}

function build(config: CottentionConfig): LanguageModel {
  const { dModel, dInner, rotaryDims, ropeBase, normEps, initStd } = config
  const init = normalInit(initStd)
  const rotary = rotaryDims > 0 ? { dims: rotaryDims, base: ropeBase, layout: 'interleaved' as const } : null
  return decoder(config, {
    embeddingStd: initStd,
    headStd: initStd,
    norm: new LayerNorm(dModel, normEps),
    layer: (_, rng) => ({
      mixerNorm: new LayerNorm(dModel, normEps),
      mixer: new Cottention({ ...config, rotary, projection: { bias: false, init } }, rng),
      mlpNorm: new LayerNorm(dModel, normEps),
      mlp: new FeedForward(dModel, dInner, rng, { init }, geluTanh),
    }),
  })
}

const tiny: CottentionConfig = {
  vocabulary: 13,
  dModel: 6,
  nLayers: 2,
  nHeads: 2,
  dHead: 4,
  rotaryDims: 2,
  ropeBase: 100,
  dInner: 8,
  normEps: 1e-5,
  initStd: 0.4,
  chunk: 4,
  tieEmbeddings: true,
  seed: 0,
}

/**
 * Cosine attention: Mongaras et al. 2024, arXiv:2409.18747. `config` is laid over the defaults.
 *
 * @throws RangeError for a key that does not exist
 */
export function cottention(config: Partial<CottentionConfig> = {}): LanguageModel {
  return build(withDefaults('cottention', defaults, config))
}

const paper: Paper<CottentionConfig, LanguageModel> = {
  card: {
    key: 'cottention',
    title: 'Cottention: Linear Transformers With Cosine Attention',
    authors: 'Mongaras, Dohm, Larson',
    year: 2024,
    arxiv: '2409.18747',
    kind: 'language model',
    family: 'attention',
    equation:
      'o_t = \\sum_{j \\le t} \\frac{q_t \\cdot k_j}{|q_t| |k_j|} \\, \\frac{v_j}{j^{a}}, \\quad a = \\sigma(c)',
    state: 'S and a count, H K² values a layer',
    cost: 'O(D² + H K²)',
    differs: [
      "Attention and feed-forward stand one after the other, each behind its own norm; the authors' GPT-J has them side by side behind one.",
      "The divisor belongs to the position of the value, as in the authors' causal form.",
      'The state is float32, where the authors decode in float64.',
    ],
    claim:
      'Character model of the novel, 2 layers, at equal parameters: bits a character near those of softmax attention and below those of linear attention, with bytes that do not grow.',
  },
  config: defaults,
  tiny,
  recipe: { lr: 3e-3, weightDecay: 0.01, groups: [vectors, { match: /\.normConst$/, weightDecay: 0 }] },
  build,
}

/** Small configurations of what `tiny` does not reach, by name, for the laws. */
export const moreTiny: Readonly<Record<string, CottentionConfig>> = /* @__PURE__ */ ifUsed(() => ({
  'no positions': { ...tiny, rotaryDims: 0, nLayers: 1, tieEmbeddings: false },
}))

export default paper
