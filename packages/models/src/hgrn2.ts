import { type LanguageModel, type Paper, parameter, withDefaults } from '@mneme/core-tensor'
import { HGRN2 } from '@mneme/recurrent/hgrn2'
import { LowerBound } from '@mneme/recurrent/lower-bound'
import { zeros } from '@tensorflow/tfjs-core'
import { convolutions, type FlaConfig, flaDecoder, flaLayout, inMixer, projections } from './fla.js'
import { flagOf, numberOf } from './published.js'
import { vectors } from './recipes.js'

export interface Hgrn2Config extends FlaConfig {
  /** Width of a head's keys: numbers of state for each channel. */
  readonly expansion: number
  /** Whether forget gates have a lower bound that rises with depth. */
  readonly lowerBound: boolean
  /** Width of the convolutions of query, gate and value; 0 for none. */
  readonly convWidth: number
  readonly chunk: number
}

/** The library norms the readout by this, whatever the other norms have. */
const READOUT_EPSILON = 1e-5

function build(config: Hgrn2Config): LanguageModel {
  const { lowerBound, nLayers, dModel } = config
  const gamma = lowerBound ? parameter(zeros([nLayers, dModel])) : null
  return flaDecoder(config, (projection, rng, layer) => {
    const bound = gamma && new LowerBound(gamma, layer)
    return new HGRN2({ ...config, normEps: READOUT_EPSILON, bound, projection }, rng)
  })
}

const checkpoint = /* @__PURE__ */ flaLayout<Hgrn2Config>({
  modelType: 'hgrn2',
  architecture: 'HGRN2ForCausalLM',
  read(published, { dModel }) {
    const heads = published.expand_ratio ?? null
    return {
      expansion: heads === null ? dModel / numberOf(published, 'num_heads') : numberOf(published, 'expand_ratio'),
      lowerBound: flagOf(published, 'use_lower_bound', true),
      convWidth: flagOf(published, 'use_short_conv', false) ? numberOf(published, 'conv_size', 4) : 0,
      chunk: 64,
    }
  },
  write: ({ dModel, expansion, lowerBound, convWidth }) => ({
    expand_ratio: expansion,
    num_heads: dModel / expansion,
    use_lower_bound: lowerBound,
    use_short_conv: convWidth > 0,
    conv_size: convWidth > 0 ? convWidth : 4,
    attn_mode: 'chunk',
  }),
  mixer: () => [
    ...projections('q', 'f', 'i', 'o'),
    ...convolutions('q', 'f', 'i'),
    inMixer('gNorm.weight', 'g_norm.weight'),
    { path: 'body.layers.{i}.mixer.bound.gamma', name: 'model.lower_bounds' },
  ],
})

const defaults: Hgrn2Config = {
  vocabulary: 256,
  dModel: 64,
  nLayers: 2,
  expansion: 32,
  lowerBound: true,
  convWidth: 0,
  dInner: 176,
  normEps: 1e-6,
  chunk: 64,
  initStd: 0.02,
  tieEmbeddings: false,
  seed: 0,
}

/**
 * HGRN2: Qin et al. 2024, arXiv:2404.07904. `config` is laid over the defaults.
 *
 * @throws RangeError for a key that does not exist
 */
export function hgrn2(config: Partial<Hgrn2Config> = {}): LanguageModel {
  return build(withDefaults('hgrn2', defaults, config))
}

const paper: Paper<Hgrn2Config, LanguageModel> = {
  card: {
    key: 'hgrn2',
    title: 'HGRN2: Gated Linear RNNs with State Expansion',
    authors: 'Qin, Yang, Sun, Shen, Li, Sun, Zhong',
    year: 2024,
    arxiv: '2404.07904',
    kind: 'language model',
    family: 'recurrent',
    equation: 'S_t = \\operatorname{diag}(f_t) S_{t-1} + (1 - f_t) v_t^\\top, \\quad o_t = S_t^\\top q_t',
    state: 'S, K values for each of D channels in each layer; with convolutions their tails',
    cost: 'O(D² + D K)',
    differs: [
      "Activations, scale and norm are those of flash-linear-attention, whose checkpoints load; the authors' own module has biases, a sigmoid on the query, a LayerNorm and no scale.",
    ],
    claim: 'MQAR at D = 64, heads 1, 8 and 32 wide: recall rises with the state.',
  },
  config: defaults,
  tiny: {
    vocabulary: 13,
    dModel: 6,
    nLayers: 3,
    expansion: 3,
    lowerBound: true,
    convWidth: 3,
    dInner: 8,
    normEps: 1e-6,
    chunk: 4,
    initStd: 0.4,
    tieEmbeddings: true,
    seed: 0,
  },
  recipe: { lr: 3e-3, weightDecay: 0.1, groups: [vectors, { match: /\.gamma$/, weightDecay: 0 }] },
  build,
  checkpoint,
}

export default paper
