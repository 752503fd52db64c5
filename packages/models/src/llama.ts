import { SoftmaxAttention, type SoftmaxAttentionOptions } from '@mneme/attention/softmax-attention'
import {
  type LanguageModel,
  type NameRule,
  normalInit,
  RMSNorm,
  type Rng,
  type RopeScaling,
  ropeStretch,
  type SequenceMixer,
  SwiGLU,
} from '@mneme/core-tensor'
import { type DecoderConfig, decoder } from './decoder.js'
import { flagOf, numberOf, objectOf, oneOf, type PublishedConfig } from './published.js'

/** A decoder as Llama has it: RMSNorm before each part, rotary positions, grouped queries, SwiGLU. arXiv:2302.13971. */
export interface LlamaConfig extends DecoderConfig {
  readonly nHeads: number
  readonly nKvHeads: number
  readonly dHead: number
  /** Inner width of the feed-forward. */
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

/** Of the size that papers start with here. */
export const llamaDefaults: LlamaConfig = {
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
}

/** What makes it small enough for the laws. */
export const llamaTiny = {
  vocabulary: 13,
  dModel: 6,
  nHeads: 2,
  nKvHeads: 1,
  dHead: 4,
  dInner: 8,
  ropeBase: 100,
  initStd: 0.4,
} as const

/** Llama around any mixer that takes the options of its attention. */
export function llamaDecoder(
  config: LlamaConfig,
  attention: (options: SoftmaxAttentionOptions, rng: Rng, layer: number) => SequenceMixer = (options, rng) =>
    new SoftmaxAttention(options, rng) as unknown as SequenceMixer,
): LanguageModel {
  const { dModel, nHeads, nKvHeads, dHead, dInner, window, normEps, ropeBase, ropeScaling } = config
  const init = normalInit(config.initStd)
  const rotary = { dims: dHead, base: ropeBase, stretch: ropeStretch(ropeScaling) }
  const projection = { bias: config.attentionBias, init }
  const options = { dModel, nHeads, nKvHeads, dHead, window, rotary, projection }
  return decoder(config, {
    embeddingStd: config.initStd,
    headStd: config.initStd,
    norm: new RMSNorm(dModel, normEps),
    layer: (layer, rng) => ({
      mixerNorm: new RMSNorm(dModel, normEps),
      mixer: attention(options, rng, layer),
      mlpNorm: new RMSNorm(dModel, normEps),
      mlp: new SwiGLU(dModel, dInner, rng, { bias: config.mlpBias, init }),
    }),
  })
}

/** From the config.json of Llama. @throws RangeError for settings that are not implemented */
export function readLlama(published: PublishedConfig): LlamaConfig {
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
}

export const publishLlama = (config: LlamaConfig): PublishedConfig => ({
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
})

export const llamaNames = (): readonly NameRule[] => [
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
]

/** Buffers of old files: the frequencies of the rotary positions. */
export const llamaBuffers: readonly RegExp[] = [/self_attn\.rotary_emb\.inv_freq$/]

function scalingOf(published: PublishedConfig): RopeScaling | null {
  if ((published.rope_scaling ?? null) === null) return null
  const scaling = objectOf(published, 'rope_scaling')
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
