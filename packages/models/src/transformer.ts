import { SoftmaxAttention } from '@mneme/attention/softmax-attention'
import {
  type CheckpointLayout,
  type LanguageModel,
  type NameRule,
  normalInit,
  type Paper,
  RMSNorm,
  type RopeScaling,
  SwiGLU,
} from '@mneme/core-tensor'
import { type DecoderConfig, decoder } from './decoder.js'
import { type Gpt2Config, gpt2Buffers, gpt2Decoder, gpt2Names, publishGpt2, readGpt2 } from './gpt2.js'
import { flagOf, numberOf, oneOf, type PublishedConfig } from './published.js'
import { withoutVectorDecay } from './recipes.js'

export interface TransformerConfig extends DecoderConfig {
  /** Llama: RMSNorm, rotary positions, SwiGLU. GPT-2: LayerNorm, learned positions, one activation, biases. */
  readonly form: 'llama' | 'gpt2'
  readonly nHeads: number
  /** Inner width of the feed-forward. */
  readonly dInner: number
  readonly normEps: number
  readonly initStd: number
  /** What only GPT-2 has. */
  readonly gpt2: Pick<Gpt2Config, 'positions' | 'activation' | 'scaled' | 'scaledByLayer'>
  /** From here on, what only Llama has. */
  readonly nKvHeads: number
  readonly dHead: number
  /** Keys seen, the query's own included; 0 for all. */
  readonly window: number
  readonly ropeBase: number
  readonly ropeScaling: RopeScaling | null
  readonly attentionBias: boolean
  readonly mlpBias: boolean
}

function build(config: TransformerConfig): LanguageModel {
  return config.form === 'gpt2' ? gpt2Decoder({ ...config, ...config.gpt2 }) : llamaDecoder(config)
}

function llamaDecoder(config: TransformerConfig): LanguageModel {
  const { dModel, dInner, dHead, normEps, ropeBase, ropeScaling } = config
  const init = normalInit(config.initStd)
  const rotary = { dims: dHead, base: ropeBase, layout: 'half', scaling: ropeScaling } as const
  return decoder(config, {
    embeddingStd: config.initStd,
    headStd: config.initStd,
    norm: new RMSNorm(dModel, normEps),
    layer: (_, rng) => ({
      mixerNorm: new RMSNorm(dModel, normEps),
      mixer: new SoftmaxAttention({ ...config, rotary, projection: { bias: config.attentionBias, init } }, rng),
      mlpNorm: new RMSNorm(dModel, normEps),
      mlp: new SwiGLU(dModel, dInner, rng, { bias: config.mlpBias, init }),
    }),
  })
}

const defaults: TransformerConfig = {
  vocabulary: 256,
  form: 'llama',
  dModel: 64,
  nLayers: 2,
  nHeads: 4,
  nKvHeads: 2,
  dHead: 16,
  dInner: 176,
  window: 0,
  ropeBase: 10000,
  ropeScaling: null,
  attentionBias: false,
  mlpBias: false,
  normEps: 1e-6,
  initStd: 0.02,
  tieEmbeddings: false,
  gpt2: { positions: 1024, activation: 'gelu_new', scaled: true, scaledByLayer: false },
  seed: 0,
}

const tiny: TransformerConfig = {
  ...defaults,
  vocabulary: 13,
  dModel: 6,
  nLayers: 2,
  nHeads: 2,
  nKvHeads: 1,
  dHead: 4,
  dInner: 8,
  window: 0,
  ropeBase: 100,
  ropeScaling: null,
  attentionBias: true,
  mlpBias: false,
  normEps: 1e-6,
  initStd: 0.4,
  tieEmbeddings: false,
  seed: 0,
}

const tinyGpt2: TransformerConfig = {
  ...tiny,
  form: 'gpt2',
  dModel: 8,
  gpt2: { positions: 48, activation: 'gelu_new', scaled: true, scaledByLayer: true },
  tieEmbeddings: true,
}

/** Small configurations of what `tiny` does not reach, by name, for the laws. */
export const moreTiny: Readonly<Record<string, TransformerConfig>> = {
  'the form of GPT-2': tinyGpt2,
  'the form of GPT-2, exact GELU, an output of its own': {
    ...tinyGpt2,
    gpt2: { ...tinyGpt2.gpt2, activation: 'gelu', scaled: false, scaledByLayer: false },
    tieEmbeddings: false,
  },
}

function scalingOf(published: PublishedConfig): RopeScaling | null {
  const scaling = (published.rope_scaling ?? null) as PublishedConfig | null
  if (scaling === null) return null
  const type = oneOf(scaling, 'rope_type' in scaling ? 'rope_type' : 'type', ['default', 'linear', 'llama3'], 'default')
  if (type === 'default') return null
  const factor = numberOf(scaling, 'factor')
  if (type === 'linear') return { type, factor }
  return {
    type,
    factor,
    lowFreqFactor: numberOf(scaling, 'low_freq_factor'),
    highFreqFactor: numberOf(scaling, 'high_freq_factor'),
    originalLength: numberOf(scaling, 'original_max_position_embeddings'),
  }
}

function publishScaling(scaling: RopeScaling | null): PublishedConfig | null {
  if (scaling === null || scaling.type === 'linear')
    return scaling && { rope_type: scaling.type, factor: scaling.factor }
  return {
    rope_type: scaling.type,
    factor: scaling.factor,
    low_freq_factor: scaling.lowFreqFactor,
    high_freq_factor: scaling.highFreqFactor,
    original_max_position_embeddings: scaling.originalLength,
  }
}

const llama: CheckpointLayout<TransformerConfig> = {
  modelTypes: ['llama', 'mistral'],
  config(published) {
    oneOf(published, 'hidden_act', ['silu'], 'silu')
    const dModel = numberOf(published, 'hidden_size')
    const nHeads = numberOf(published, 'num_attention_heads')
    return {
      form: 'llama',
      gpt2: defaults.gpt2,
      vocabulary: numberOf(published, 'vocab_size'),
      dModel,
      nLayers: numberOf(published, 'num_hidden_layers'),
      nHeads,
      nKvHeads: numberOf(published, 'num_key_value_heads', nHeads),
      dHead: numberOf(published, 'head_dim', dModel / nHeads),
      dInner: numberOf(published, 'intermediate_size'),
      window: numberOf(published, 'sliding_window', 0),
      ropeBase: numberOf(published, 'rope_theta', 10000),
      ropeScaling: scalingOf(published),
      attentionBias: flagOf(published, 'attention_bias', false),
      mlpBias: flagOf(published, 'mlp_bias', false),
      normEps: numberOf(published, 'rms_norm_eps', 1e-6),
      initStd: numberOf(published, 'initializer_range', 0.02),
      tieEmbeddings: flagOf(published, 'tie_word_embeddings', false),
      seed: 0,
    }
  },
  publish: (config) => ({
    model_type: config.window > 0 ? 'mistral' : 'llama',
    architectures: [config.window > 0 ? 'MistralForCausalLM' : 'LlamaForCausalLM'],
    vocab_size: config.vocabulary,
    hidden_size: config.dModel,
    num_hidden_layers: config.nLayers,
    num_attention_heads: config.nHeads,
    num_key_value_heads: config.nKvHeads,
    head_dim: config.dHead,
    intermediate_size: config.dInner,
    hidden_act: 'silu',
    rope_theta: config.ropeBase,
    rope_scaling: publishScaling(config.ropeScaling),
    attention_bias: config.attentionBias,
    mlp_bias: config.mlpBias,
    rms_norm_eps: config.normEps,
    initializer_range: config.initStd,
    tie_word_embeddings: config.tieEmbeddings,
    ...(config.window > 0 && { sliding_window: config.window }),
  }),
  names: (): readonly NameRule[] => [
    { path: 'embedding.weight', name: 'model.embed_tokens.weight' },
    { path: 'body.layers.{i}.mixerNorm.weight', name: 'model.layers.{i}.input_layernorm.weight' },
    ...(['q', 'k', 'v', 'o'] as const).flatMap((p) =>
      (['weight', 'bias'] as const).map((kind) => ({
        path: `body.layers.{i}.mixer.${p}Proj.${kind}`,
        name: `model.layers.{i}.self_attn.${p}_proj.${kind}`,
      })),
    ),
    { path: 'body.layers.{i}.mlpNorm.weight', name: 'model.layers.{i}.post_attention_layernorm.weight' },
    ...(['gate', 'up', 'down'] as const).flatMap((p) =>
      (['weight', 'bias'] as const).map((kind) => ({
        path: `body.layers.{i}.mlp.${p}Proj.${kind}`,
        name: `model.layers.{i}.mlp.${p}_proj.${kind}`,
      })),
    ),
    { path: 'norm.weight', name: 'model.norm.weight' },
    { path: 'head.weight', name: 'lm_head.weight' },
  ],
  ignore: [/self_attn\.rotary_emb\.inv_freq$/],
}

const gpt2: CheckpointLayout<TransformerConfig> = {
  modelTypes: ['gpt2'],
  config(published) {
    const { positions, activation, scaled, scaledByLayer, ...shared } = readGpt2(published)
    const dHead = shared.dModel / shared.nHeads
    const options = { positions, activation, scaled, scaledByLayer }
    return { ...defaults, ...shared, form: 'gpt2', nKvHeads: shared.nHeads, dHead, gpt2: options }
  },
  publish: (config) => publishGpt2({ ...config, ...config.gpt2 }),
  names: (config) => gpt2Names({ ...config, ...config.gpt2 }),
  ignore: gpt2Buffers,
}

const layouts = { llama, gpt2 }

const checkpoint: CheckpointLayout<TransformerConfig> = {
  modelTypes: Object.values(layouts).flatMap(({ modelTypes }) => modelTypes),
  config: (published) => (published.model_type === 'gpt2' ? gpt2 : llama).config(published),
  publish: (config) => layouts[config.form].publish(config),
  names: (config) => layouts[config.form].names(config),
  ignore: Object.values(layouts).flatMap(({ ignore = [] }) => ignore),
  prefix: 'transformer.',
}

/** The softmax decoder that the others are measured against, in the forms of Llama and GPT-2. */
const paper: Paper<TransformerConfig, LanguageModel> = {
  card: {
    key: 'transformer',
    title: 'Attention Is All You Need',
    authors: 'Vaswani, Shazeer, Parmar, Uszkoreit, Jones, Gomez, Kaiser, Polosukhin',
    year: 2017,
    arxiv: '1706.03762',
    kind: 'language model',
    family: 'attention',
    equation: 'o_i = \\sum_{j \\le i} \\mathrm{softmax}_j\\!\\left(\\tfrac{q_i \\cdot k_j}{\\sqrt K}\\right) v_j',
    state: 'keys and values of every token, 2 G K T values a layer',
    cost: 'O(D² + T H K)',
    differs: [
      "A decoder alone. form 'llama': RMSNorm before each part, rotary positions, grouped queries, SwiGLU (arXiv:2302.13971). form 'gpt2': LayerNorm before each part, learned positions, GELU, biases (Radford et al. 2019).",
      'No dropout.',
    ],
    claim: 'The baseline: two layers reach at least 98 % on MQAR with 4 pairs at T = 64, D = 64.',
  },
  config: defaults,
  tiny,
  recipe: { lr: 3e-3, weightDecay: 0.1, groups: withoutVectorDecay },
  build,
  checkpoint,
}

export default paper
