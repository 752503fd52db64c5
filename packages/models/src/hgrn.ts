import { type LanguageModel, type Paper, parameter, withDefaults } from '@mneme/core-tensor'
import { HGRN } from '@mneme/recurrent/hgrn'
import { LowerBound } from '@mneme/recurrent/lower-bound'
import { type Variable, zeros } from '@tensorflow/tfjs-core'
import { convolutions, type FlaConfig, flaDecoder, flaLayout, inMixer, projections } from './fla.js'
import { flagOf, numberOf, oneOf } from './published.js'
import { vectors } from './recipes.js'

export interface HgrnConfig extends FlaConfig {
  /** Whether forget gates have a lower bound that rises with depth. */
  readonly lowerBound: boolean
  /** Width of the convolutions of candidate and forget gate; 0 for none. */
  readonly convWidth: number
}

function build(config: HgrnConfig): LanguageModel {
  const { lowerBound, nLayers, dModel } = config
  const gamma: Variable | null = lowerBound ? parameter(zeros([nLayers, dModel])) : null
  return flaDecoder(config, (projection, rng, layer) => {
    const bound = gamma && new LowerBound(gamma, layer)
    return new HGRN({ ...config, bound, projection }, rng)
  })
}

const checkpoint = /* @__PURE__ */ flaLayout<HgrnConfig>({
  modelType: 'hgrn',
  architecture: 'HGRNForCausalLM',
  read(published) {
    oneOf(published, 'expand_ratio', [1], 1)
    return {
      lowerBound: flagOf(published, 'use_lower_bound', true),
      convWidth: flagOf(published, 'use_short_conv', false) ? numberOf(published, 'conv_size', 4) : 0,
    }
  },
  write: ({ lowerBound, convWidth }) => ({
    expand_ratio: 1,
    use_lower_bound: lowerBound,
    use_short_conv: convWidth > 0,
    conv_size: convWidth > 0 ? convWidth : 4,
    attn_mode: 'fused_recurrent',
  }),
  mixer: () => [
    ...projections('i', 'f', 'g', 'o'),
    ...convolutions('i', 'f'),
    inMixer('gNorm.weight', 'g_norm.weight'),
    { path: 'body.layers.{i}.mixer.bound.gamma', name: 'model.lower_bounds' },
  ],
})

const defaults: HgrnConfig = {
  vocabulary: 256,
  dModel: 64,
  nLayers: 2,
  lowerBound: true,
  convWidth: 0,
  dInner: 176,
  normEps: 1e-6,
  initStd: 0.02,
  tieEmbeddings: false,
  seed: 0,
}

/**
 * HGRN: Qin et al. 2023, arXiv:2311.04823. `config` is laid over the defaults.
 *
 * @throws RangeError for a key that does not exist
 */
export function hgrn(config: Partial<HgrnConfig> = {}): LanguageModel {
  return build(withDefaults('hgrn', defaults, config))
}

const paper: Paper<HgrnConfig, LanguageModel> = {
  card: {
    key: 'hgrn',
    title: 'Hierarchically Gated Recurrent Neural Network for Sequence Modeling',
    authors: 'Qin, Yang, Zhong',
    year: 2023,
    arxiv: '2311.04823',
    kind: 'language model',
    family: 'recurrent',
    equation:
      'f_t = b_l + (1 - b_l) \\sigma(W_f x_t), \\quad h_t = f_t \\odot h_{t-1} + (1 - f_t) \\odot \\operatorname{silu}(W_i x_t)',
    state: 'h, D values a layer; with convolutions their tails',
    cost: 'O(D²)',
    differs: [
      "Real states and linear maps without bias, as in flash-linear-attention, whose checkpoints load; the paper's states are complex.",
    ],
    claim:
      'Character model of the novel with lower bounds against none (b = 0) at equal parameters: a lower validation loss with them.',
  },
  config: defaults,
  tiny: {
    vocabulary: 13,
    dModel: 6,
    nLayers: 3,
    lowerBound: true,
    convWidth: 3,
    dInner: 8,
    normEps: 1e-6,
    initStd: 0.4,
    tieEmbeddings: true,
    seed: 0,
  },
  recipe: {
    lr: 3e-3,
    weightDecay: 0.1,
    groups: [vectors, { match: /\.gamma$/, weightDecay: 0 }],
  },
  build,
  checkpoint,
}

export default paper
