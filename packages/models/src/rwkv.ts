import {
  type CheckpointLayout,
  type LanguageModel,
  LayerNorm,
  type LinearOptions,
  type NameRule,
  normalInit,
  type Paper,
  type Rng,
} from '@mneme/core-tensor'
import { RwkvChannelMix } from '@mneme/recurrent/rwkv-channel-mix'
import { Rwkv4TimeMix } from '@mneme/recurrent/rwkv4'
import { type DecoderConfig, decoder } from './decoder.js'
import { flagOf, numberOf } from './published.js'
import { withoutVectorDecay } from './recipes.js'

export interface RwkvConfig extends DecoderConfig {
  /** Width of keys, values and receptance of the time mixing. */
  readonly dAttention: number
  /** Inner width of the channel mixing. */
  readonly dInner: number
  readonly normEps: number
  /** Deviation of the initial linear maps; null for PyTorch's uniform. */
  readonly initStd: number | null
}

function build(config: RwkvConfig): LanguageModel {
  const { dModel, nLayers, dAttention, dInner, normEps, initStd } = config
  const projection: LinearOptions = { bias: false, ...(initStd !== null && { init: normalInit(initStd) }) }
  const norm = (): LayerNorm => new LayerNorm(dModel, normEps)
  return decoder(config, {
    embeddingStd: initStd ?? 0.02,
    embeddingNorm: norm(),
    norm: norm(),
    layer: (layer, rng: Rng) => {
      const depth = { dModel, layer, nLayers, projection }
      return [
        { mixerNorm: norm(), mixer: new Rwkv4TimeMix({ ...depth, dInner: dAttention }, rng) },
        {
          mixerNorm: norm(),
          mixer: new RwkvChannelMix({ ...depth, dInner, mixOf: 'current', receptance: true }, rng),
        },
      ]
    },
  })
}

/** Weight and bias of a norm. */
const norm = (path: string, name: string): NameRule[] =>
  ['weight', 'bias'].map((p) => ({ path: `${path}.${p}`, name: `${name}.${p}` }))

/** Names of one block, whose two parts stand one after the other here. */
function blockNames(i: number): NameRule[] {
  const [time, channel] = [`body.layers.${2 * i}`, `body.layers.${2 * i + 1}`]
  const block = `rwkv.blocks.${i}`
  const linear = (at: string, part: string, ...names: readonly string[]): NameRule[] =>
    names.map((p) => ({ path: `${at}.mixer.${p}.weight`, name: `${block}.${part}.${p}.weight` }))
  const mixes = (at: string, part: string, ...names: readonly (readonly [path: string, name: string])[]): NameRule[] =>
    names.map(([path, name]) => ({
      path: `${at}.mixer.${path}`,
      name: `${block}.${part}.time_mix_${name}`,
      squeeze: [0, 1],
    }))
  return [
    ...norm(`${time}.mixerNorm`, `${block}.ln1`),
    ...norm(`${channel}.mixerNorm`, `${block}.ln2`),
    { path: `${time}.mixer.timeDecay`, name: `${block}.attention.time_decay` },
    { path: `${time}.mixer.timeFirst`, name: `${block}.attention.time_first` },
    ...mixes(time, 'attention', ['timeMixKey', 'key'], ['timeMixValue', 'value'], ['timeMixReceptance', 'receptance']),
    ...linear(time, 'attention', 'key', 'value', 'receptance', 'output'),
    ...mixes(channel, 'feed_forward', ['timeMixKey', 'key'], ['timeMixReceptance', 'receptance']),
    ...linear(channel, 'feed_forward', 'key', 'receptance', 'value'),
  ]
}

const checkpoint: CheckpointLayout<RwkvConfig> = {
  modelTypes: ['rwkv'],
  config(published) {
    const dModel = numberOf(published, 'hidden_size')
    return {
      vocabulary: numberOf(published, 'vocab_size'),
      dModel,
      nLayers: numberOf(published, 'num_hidden_layers'),
      dAttention: numberOf(published, 'attention_hidden_size', dModel),
      dInner: numberOf(published, 'intermediate_size', 4 * dModel),
      normEps: numberOf(published, 'layer_norm_epsilon', 1e-5),
      initStd: null,
      tieEmbeddings: flagOf(published, 'tie_word_embeddings', false),
      seed: 0,
    }
  },
  publish: (config) => ({
    model_type: 'rwkv',
    architectures: ['RwkvForCausalLM'],
    vocab_size: config.vocabulary,
    hidden_size: config.dModel,
    num_hidden_layers: config.nLayers,
    attention_hidden_size: config.dAttention,
    intermediate_size: config.dInner,
    layer_norm_epsilon: config.normEps,
    rescale_every: 6,
    tie_word_embeddings: config.tieEmbeddings,
  }),
  names: ({ nLayers }) => [
    { path: 'embedding.weight', name: 'rwkv.embeddings.weight' },
    ...norm('embeddingNorm', 'rwkv.blocks.0.pre_ln'),
    ...Array.from({ length: nLayers }, (_, i) => blockNames(i)).flat(),
    ...norm('norm', 'rwkv.ln_out'),
    { path: 'head.weight', name: 'head.weight' },
  ],
}

/** RWKV: Peng et al. 2023, arXiv:2305.13048. */
const paper: Paper<RwkvConfig, LanguageModel> = {
  card: {
    key: 'rwkv',
    title: 'RWKV: Reinventing RNNs for the Transformer Era',
    authors: 'Peng, Alcaide, Anthony and others',
    year: 2023,
    arxiv: '2305.13048',
    kind: 'language model',
    family: 'recurrent',
    equation:
      'o_t = W_o\\left(\\sigma(r_t) \\odot \\frac{\\sum_{i<t} e^{(t-1-i)w + k_i} v_i + e^{u + k_t} v_t}{\\sum_{i<t} e^{(t-1-i)w + k_i} + e^{u + k_t}}\\right)',
    state: 'two last inputs and three sums, 5 D values a layer',
    cost: 'O(D²)',
    differs: [
      'Version 4, as in the paper. Linear maps start as PyTorch draws them, not at zero and orthogonal, and the loss has no term for large logits.',
      'Published weights are taken as they are on disk; halving them every six layers, as the reference does for half precision, changes nothing here.',
    ],
    claim:
      'Character model of the novel against a transformer of as many parameters: an equal or lower loss, and decoding whose time and bytes do not grow.',
  },
  config: {
    vocabulary: 256,
    dModel: 64,
    nLayers: 2,
    dAttention: 64,
    dInner: 192,
    normEps: 1e-5,
    initStd: null,
    tieEmbeddings: false,
    seed: 0,
  },
  tiny: {
    vocabulary: 13,
    dModel: 6,
    nLayers: 2,
    dAttention: 5,
    dInner: 8,
    normEps: 1e-5,
    initStd: 0.4,
    tieEmbeddings: true,
    seed: 0,
  },
  recipe: {
    lr: 3e-3,
    weightDecay: 0.01,
    groups: [...withoutVectorDecay, { match: /\.time[A-Z]\w+$/, weightDecay: 0 }],
  },
  build,
  checkpoint,
}

export default paper
