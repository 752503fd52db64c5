import { Latte } from '@mneme/attention/latte'
import {
  FeedForward,
  gelu,
  type LanguageModel,
  LayerNorm,
  type LinearOptions,
  normal,
  type Paper,
  withDefaults,
} from '@mneme/core-tensor'
import { type DecoderConfig, decoder } from './decoder.js'
import { vectors } from './recipes.js'

export interface LatteConfig extends DecoderConfig {
  readonly nHeads: number
  /** Slots of all heads together. */
  readonly slots: number
  /** Multiplies the scores of slots and of tokens. */
  readonly scale: number
  /** Inner width of the feed-forward. */
  readonly dInner: number
  readonly normEps: number
  readonly initStd: number
  readonly chunk: number
}

/** Deviation of one over the root of the inputs, whatever the map. */
const lecun: NonNullable<LinearOptions['init']> = (rng, shape) => normal(rng, shape, (shape[1] as number) ** -0.5)

const defaults: LatteConfig = {
  vocabulary: 256,
  dModel: 64,
  nLayers: 2,
  nHeads: 4,
  slots: 64,
  scale: 1,
  dInner: 256,
  normEps: 1e-5,
  initStd: 0.02,
  chunk: 64,
  tieEmbeddings: false,
  seed: 0,
}

function build(config: LatteConfig): LanguageModel {
  const { dModel, dInner, normEps, initStd } = config
  return decoder(config, {
    embeddingStd: initStd,
    headStd: initStd,
    norm: new LayerNorm(dModel, normEps),
    layer: (_, rng) => ({
      mixerNorm: new LayerNorm(dModel, normEps),
      mixer: new Latte({ ...config, projection: { bias: false, init: lecun } }, rng),
      mlpNorm: new LayerNorm(dModel, normEps),
      mlp: new FeedForward(dModel, dInner, rng, { init: lecun }, gelu),
    }),
  })
}

/**
 * Latent attention: Dolga et al. 2024, arXiv:2402.17512. `config` is laid over the defaults.
 *
 * @throws RangeError for a key that does not exist
 */
export function latte(config: Partial<LatteConfig> = {}): LanguageModel {
  return build(withDefaults('latte', defaults, config))
}

const paper: Paper<LatteConfig, LanguageModel> = {
  card: {
    key: 'latte',
    title: 'Latent Attention for Linear Time Transformers',
    authors: 'Dolga, Maystre, Cobzarenco, Barber',
    year: 2024,
    arxiv: '2402.17512',
    kind: 'language model',
    family: 'attention',
    equation:
      'o_t = \\sum_l \\mathrm{softmax}_l(q_t)_l \\, \\frac{\\sum_{s \\le t} e^{k_{sl}} v_s}{\\sum_{s \\le t} e^{k_{sl}}}',
    state: 'of each slot a weighted sum, its weight and the greatest score: L D / H + 2 L values a layer',
    cost: 'O(D (D + L) + L D / H)',
    differs: [
      "Scores are not scaled, as in the authors' stable and bidirectional classes; scale sets another factor.",
      'No positions and no dropout; the sliding window beside it, which a later version of the paper adds, is not here.',
      'Feed-forward and norms are the common ones in front of each part: GELU of four times the width, LayerNorm.',
    ],
    claim:
      'Character model of the novel at T = 512 against softmax and linear attention: a loss between the two, and time a step that grows in proportion to T.',
  },
  config: defaults,
  tiny: {
    vocabulary: 13,
    dModel: 6,
    nLayers: 2,
    nHeads: 2,
    slots: 4,
    scale: 1,
    dInner: 8,
    normEps: 1e-5,
    initStd: 0.4,
    chunk: 4,
    tieEmbeddings: true,
    seed: 0,
  },
  recipe: { lr: 3e-3, weightDecay: 0.01, groups: [vectors] },
  build,
}

export default paper
