import type { CheckpointLayout, NameRule } from '@mneme/core-tensor'
import type { GriffinConfig } from './griffin.js'
import { ifUsed } from './if-used.js'
import { flagOf, numberOf, oneOf, type PublishedConfig } from './published.js'

function kindsOf(published: PublishedConfig): GriffinConfig['pattern'] {
  const { block_types: given } = published
  if (!Array.isArray(given) || given.length === 0) {
    throw new TypeError(`config.json block_types: expected a list of layers, got ${JSON.stringify(given)}.`)
  }
  return given.map((kind) =>
    oneOf({ block_types: String(kind).toLowerCase() }, 'block_types', ['recurrent', 'attention'], 'recurrent'),
  )
}

function fromDeepmind(published: PublishedConfig): GriffinConfig {
  const dModel = numberOf(published, 'width')
  const nHeads = numberOf(published, 'num_heads')
  const pattern = kindsOf(published)
  return {
    vocabulary: numberOf(published, 'vocab_size'),
    dModel,
    nLayers: pattern.length,
    pattern,
    nHeads,
    nKvHeads: 1,
    dHead: dModel / nHeads,
    // theirs counts the keys before the query
    window: numberOf(published, 'attention_window_size') + 1,
    rotaryShare: 0.5,
    ropeBase: 10000,
    attentionBias: false,
    dRecurrent: numberOf(published, 'lru_width', dModel),
    convWidth: numberOf(published, 'conv1d_temporal_width', 4),
    dInner: numberOf(published, 'mlp_expanded_width'),
    normEps: 1e-6,
    scaleEmbeddings: flagOf(published, 'embeddings_scale_by_sqrt_dim', true),
    scoreCap: numberOf(published, 'logits_soft_cap', 0),
    paddingId: null,
    layout: 'deepmind',
    tieEmbeddings: true,
    seed: 0,
  }
}

function fromTransformers(published: PublishedConfig): GriffinConfig {
  oneOf(published, 'hidden_activation', ['gelu_pytorch_tanh'], 'gelu_pytorch_tanh')
  const dModel = numberOf(published, 'hidden_size')
  const nHeads = numberOf(published, 'num_attention_heads')
  const padding = published.pad_token_id === null ? null : numberOf(published, 'pad_token_id', 0)
  return {
    vocabulary: numberOf(published, 'vocab_size'),
    dModel,
    nLayers: numberOf(published, 'num_hidden_layers'),
    pattern: kindsOf(published),
    nHeads,
    nKvHeads: numberOf(published, 'num_key_value_heads', nHeads),
    dHead: numberOf(published, 'head_dim', dModel / nHeads),
    window: numberOf(published, 'attention_window_size', 2048),
    rotaryShare: numberOf(published, 'partial_rotary_factor', 0.5),
    ropeBase: numberOf(published, 'rope_theta', 10000),
    attentionBias: flagOf(published, 'attention_bias', false),
    dRecurrent: numberOf(published, 'lru_width', dModel),
    convWidth: numberOf(published, 'conv1d_width', 4),
    // theirs counts both branches
    dInner: Math.floor(numberOf(published, 'intermediate_size') / 2),
    normEps: numberOf(published, 'rms_norm_eps', 1e-6),
    scaleEmbeddings: flagOf(published, 'embeddings_scale_by_sqrt_dim', true),
    scoreCap: numberOf(published, 'logits_soft_cap', 30),
    paddingId: padding,
    layout: 'huggingface',
    tieEmbeddings: flagOf(published, 'tie_word_embeddings', true),
    seed: 0,
  }
}

function kinds({ pattern, nLayers }: GriffinConfig): string[] {
  return Array.from({ length: nLayers }, (_, i) => (pattern[i % pattern.length] as string).toUpperCase())
}

function toDeepmind(config: GriffinConfig): PublishedConfig {
  return {
    reference: 'google-deepmind/recurrentgemma, recurrentgemma/torch/griffin.py, Griffin',
    vocab_size: config.vocabulary,
    width: config.dModel,
    mlp_expanded_width: config.dInner,
    num_heads: config.nHeads,
    block_types: kinds(config),
    embeddings_scale_by_sqrt_dim: config.scaleEmbeddings,
    attention_window_size: config.window - 1,
    logits_soft_cap: config.scoreCap,
    lru_width: config.dRecurrent,
    conv1d_temporal_width: config.convWidth,
  }
}

function toTransformers(config: GriffinConfig): PublishedConfig {
  return {
    model_type: 'recurrent_gemma',
    architectures: ['RecurrentGemmaForCausalLM'],
    vocab_size: config.vocabulary,
    hidden_size: config.dModel,
    num_hidden_layers: config.nLayers,
    block_types: config.pattern,
    num_attention_heads: config.nHeads,
    num_key_value_heads: config.nKvHeads,
    head_dim: config.dHead,
    attention_window_size: config.window,
    partial_rotary_factor: config.rotaryShare,
    rope_theta: config.ropeBase,
    attention_bias: config.attentionBias,
    lru_width: config.dRecurrent,
    conv1d_width: config.convWidth,
    intermediate_size: 2 * config.dInner,
    hidden_activation: 'gelu_pytorch_tanh',
    rms_norm_eps: config.normEps,
    embeddings_scale_by_sqrt_dim: config.scaleEmbeddings,
    logits_soft_cap: config.scoreCap,
    pad_token_id: config.paddingId,
    tie_word_embeddings: config.tieEmbeddings,
  }
}

const both = ['weight', 'bias'] as const
const layer = 'body.layers.{i}'

const deepmindNames: readonly NameRule[] = /* @__PURE__ */ ifUsed(() => [
  { path: 'embedding.weight', name: 'embedder.input_embedding' },
  { path: `${layer}.mixerNorm.weight`, name: 'blocks.{i}.temporal_pre_norm.scale' },
  { path: `${layer}.mlpNorm.weight`, name: 'blocks.{i}.channel_pre_norm.scale' },
  ...['q', 'k', 'v'].map((p) => ({
    path: `${layer}.mixer.${p}Proj.weight`,
    name: `blocks.{i}.attention_block.proj_${p}.weight`,
  })),
  ...both.flatMap((kind) => [
    { path: `${layer}.mixer.oProj.${kind}`, name: `blocks.{i}.attention_block.proj_final.${kind}` },
    { path: `${layer}.mixer.xProj.${kind}`, name: `blocks.{i}.recurrent_block.linear_x.${kind}` },
    { path: `${layer}.mixer.gateProj.${kind}`, name: `blocks.{i}.recurrent_block.linear_y.${kind}` },
    { path: `${layer}.mixer.outProj.${kind}`, name: `blocks.{i}.recurrent_block.linear_out.${kind}` },
    { path: `${layer}.mlp.downProj.${kind}`, name: `blocks.{i}.mlp_block.ffw_down.${kind}` },
  ]),
  { path: `${layer}.mixer.conv.weight`, name: 'blocks.{i}.recurrent_block.conv_1d.w', transpose: true },
  { path: `${layer}.mixer.conv.bias`, name: 'blocks.{i}.recurrent_block.conv_1d.b' },
  { path: `${layer}.mixer.cell.lambda`, name: 'blocks.{i}.recurrent_block.rg_lru.a_param' },
  ...(
    [
      ['Weight', 'w'],
      ['Bias', 'b'],
    ] as const
  ).flatMap(([ours, theirs]) => [
    {
      path: `${layer}.mixer.cell.recurrenceGate${ours}`,
      name: `blocks.{i}.recurrent_block.rg_lru.a_gate.${theirs}`,
    },
    {
      path: `${layer}.mixer.cell.inputGate${ours}`,
      name: `blocks.{i}.recurrent_block.rg_lru.input_gate.${theirs}`,
    },
  ]),
  ...(['gate', 'up'] as const).flatMap((p, index): NameRule[] => [
    { path: `${layer}.mlp.${p}Proj.weight`, name: 'blocks.{i}.mlp_block.ffw_up.w', stack: [index, 2], transpose: true },
    { path: `${layer}.mlp.${p}Proj.bias`, name: 'blocks.{i}.mlp_block.ffw_up.b', stack: [index, 2], squeeze: [0, 1] },
  ]),
  { path: 'norm.weight', name: 'final_norm.scale' },
])

const transformersNames: readonly NameRule[] = /* @__PURE__ */ ifUsed(() => [
  { path: 'embedding.weight', name: 'model.embed_tokens.weight' },
  { path: `${layer}.mixerNorm.weight`, name: 'model.layers.{i}.temporal_pre_norm.weight' },
  { path: `${layer}.mlpNorm.weight`, name: 'model.layers.{i}.channel_pre_norm.weight' },
  ...both.flatMap((kind) => [
    ...['q', 'k', 'v', 'o'].map((p) => ({
      path: `${layer}.mixer.${p}Proj.${kind}`,
      name: `model.layers.{i}.temporal_block.${p}_proj.${kind}`,
    })),
    { path: `${layer}.mixer.xProj.${kind}`, name: `model.layers.{i}.temporal_block.linear_x.${kind}` },
    { path: `${layer}.mixer.gateProj.${kind}`, name: `model.layers.{i}.temporal_block.linear_y.${kind}` },
    { path: `${layer}.mixer.outProj.${kind}`, name: `model.layers.{i}.temporal_block.linear_out.${kind}` },
    ...['gate', 'up', 'down'].map((p) => ({
      path: `${layer}.mlp.${p}Proj.${kind}`,
      name: `model.layers.{i}.mlp_block.${p}_proj.${kind}`,
    })),
  ]),
  { path: `${layer}.mixer.conv.weight`, name: 'model.layers.{i}.temporal_block.conv_1d.weight', squeeze: 1 },
  { path: `${layer}.mixer.conv.bias`, name: 'model.layers.{i}.temporal_block.conv_1d.bias' },
  { path: `${layer}.mixer.cell.lambda`, name: 'model.layers.{i}.temporal_block.rg_lru.recurrent_param' },
  ...(['Weight', 'Bias'] as const).flatMap((kind) => [
    {
      path: `${layer}.mixer.cell.recurrenceGate${kind}`,
      name: `model.layers.{i}.temporal_block.rg_lru.recurrent_gate_${kind.toLowerCase()}`,
    },
    {
      path: `${layer}.mixer.cell.inputGate${kind}`,
      name: `model.layers.{i}.temporal_block.rg_lru.input_gate_${kind.toLowerCase()}`,
    },
  ]),
  { path: 'norm.weight', name: 'model.final_norm.weight' },
  { path: 'head.weight', name: 'lm_head.weight' },
])

/** RecurrentGemma as transformers publishes it, and as google-deepmind does. */
export const checkpoint: CheckpointLayout<GriffinConfig> = {
  modelTypes: ['recurrent_gemma', 'Griffin'],
  covers: (config) =>
    config.layout === 'huggingface' ||
    (config.tieEmbeddings &&
      !config.attentionBias &&
      config.nKvHeads === 1 &&
      config.dHead * config.nHeads === config.dModel &&
      config.rotaryShare === 0.5 &&
      config.ropeBase === 10000),
  config: (published) => (published.model_type === undefined ? fromDeepmind(published) : fromTransformers(published)),
  publish: (config) => (config.layout === 'deepmind' ? toDeepmind(config) : toTransformers(config)),
  names: ({ layout }) => (layout === 'deepmind' ? deepmindNames : transformersNames),
}
