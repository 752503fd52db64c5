import { SoftmaxAttention, type SoftmaxAttentionOptions } from '@mneme/attention/softmax-attention'
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
import { flagOf, numberOf, oneOf, type PublishedConfig } from './published.js'
import { withoutVectorDecay } from './recipes.js'

export interface TransformerConfig extends DecoderConfig {
  readonly nHeads: number
  readonly nKvHeads: number
  readonly dHead: number
  /** Inner width of the SwiGLU feed-forward. */
  readonly dInner: number
  /** Keys seen, the query's own included; 0 for all. */
  readonly window: number
  readonly ropeBase: number
  readonly ropeScaling: RopeScaling | null
  readonly attentionBias: boolean
  readonly mlpBias: boolean
  readonly normEps: number
  readonly initStd: number
}

/** A decoder in the form of Llama, whose attention may differ from layer to layer. */
export function llamaDecoder(
  config: TransformerConfig,
  attention: (layer: number) => Partial<SoftmaxAttentionOptions> = () => ({}),
): LanguageModel {
  const { dModel, dInner, dHead, normEps, ropeBase, ropeScaling } = config
  const init = normalInit(config.initStd)
  const rotary = { dims: dHead, base: ropeBase, layout: 'half', scaling: ropeScaling } as const
  return decoder(config, {
    embeddingStd: config.initStd,
    headStd: config.initStd,
    norm: new RMSNorm(dModel, normEps),
    layer: (layer, rng) => ({
      mixerNorm: new RMSNorm(dModel, normEps),
      mixer: new SoftmaxAttention(
        { ...config, rotary, projection: { bias: config.attentionBias, init }, ...attention(layer) },
        rng,
      ),
      mlpNorm: new RMSNorm(dModel, normEps),
      mlp: new SwiGLU(dModel, dInner, rng, { bias: config.mlpBias, init }),
    }),
  })
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

/** Llama and Mistral, as transformers publishes them. */
export const llamaLayout: CheckpointLayout<TransformerConfig> = {
  modelTypes: ['llama', 'mistral'],
  config(published) {
    oneOf(published, 'hidden_act', ['silu'], 'silu')
    const dModel = numberOf(published, 'hidden_size')
    const nHeads = numberOf(published, 'num_attention_heads')
    return {
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

/** The softmax decoder that the others are measured against, in the form Llama has. */
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
      'A decoder in the form of Llama: RMSNorm before each part, rotary positions, grouped queries, SwiGLU (arXiv:2302.13971).',
    ],
    claim: 'The baseline: two layers reach at least 98 % on MQAR with 4 pairs at T = 64, D = 64.',
  },
  config: {
    vocabulary: 256,
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
    seed: 0,
  },
  tiny: {
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
  },
  recipe: { lr: 3e-3, weightDecay: 0.1, groups: withoutVectorDecay },
  build: (config) => llamaDecoder(config),
  checkpoint: llamaLayout,
}

export default paper
