import type { CheckpointLayout, NameRule } from '@mneme/core-tensor'
import { flagOf, numberOf, type PublishedConfig } from './published.js'
import type { TitansConfig } from './titans.js'

/** The layout of the titans-pytorch port's `MemoryAsContextTransformer`. What it does not have is as in `defaults`. */
export function checkpoint(defaults: TitansConfig): CheckpointLayout<TitansConfig> {
  return {
    modelTypes: ['MemoryAsContextTransformer'],
    covers: ({ variant }) => variant === 'mac-port',
    config: (published) => configOf(published, defaults),
    publish,
    names,
    // a copy of the initial weights that the port never reads, and parameters of size 0 where there are no such tokens
    ignore: [/\.memory_model\./, /persistent_memory$/, /^longterm_mems$/],
  }
}

/** The port can do more than is read here: those settings must be at rest. */
function atRest(published: PublishedConfig, memory: PublishedConfig): void {
  for (const key of ['neural_memory_add_value_residual', 'neural_memory_qkv_receives_diff_views']) {
    off(published, key)
  }
  if (numberOf(published, 'num_residual_streams', 4) !== 1) {
    throw new RangeError('config.json num_residual_streams: expected 1, got more: hyper-connections are not read.')
  }
  for (const key of [
    'attn_pool_chunks',
    'per_parameter_lr_modulation',
    'learned_momentum_combine',
    'spectral_norm_surprises',
    'store_with_lookahead_value',
  ]) {
    off(memory, key)
  }
  for (const key of ['momentum_order', 'num_kv_per_token']) {
    const order = numberOf(memory, key, 1)
    if (order !== 1) throw new RangeError(`config.json neural_memory_kwargs.${key}: expected 1, got ${order}.`)
  }
  if (!flagOf(memory, 'pre_rmsnorm', true)) {
    throw new RangeError('config.json neural_memory_kwargs.pre_rmsnorm: expected true, got false.')
  }
}

function off(config: PublishedConfig, key: string): void {
  if (flagOf(config, key, false))
    throw new RangeError(`config.json ${key}: expected false, got true, which is not read.`)
}

/** A nested object; empty where it is left out. */
const within = (config: PublishedConfig, key: string): PublishedConfig => (config[key] ?? {}) as PublishedConfig

function configOf(published: PublishedConfig, defaults: TitansConfig): TitansConfig {
  const memory = within(published, 'neural_memory_kwargs')
  const network = within(memory, 'default_model_kwargs')
  atRest(published, memory)
  const dModel = numberOf(published, 'dim')
  const segment = numberOf(published, 'segment_len')
  const longterm = numberOf(published, 'num_longterm_mem_tokens', 0)
  const layers = (published.neural_memory_layers ?? null) as readonly number[] | null
  return {
    ...defaults,
    variant: 'mac-port',
    vocabulary: numberOf(published, 'num_tokens'),
    dModel,
    nLayers: numberOf(published, 'depth'),
    nHeads: numberOf(published, 'heads', 8),
    dHead: numberOf(published, 'dim_head', 64),
    segment,
    persistent: numberOf(published, 'num_persist_mem_tokens', 0),
    memoryHeads: numberOf(memory, 'heads', 1),
    memoryWidth: numberOf(memory, 'dim_head', dModel),
    memoryDepth: numberOf(network, 'depth', 2),
    memoryExpansion: numberOf(network, 'expansion_factor', 4),
    memoryNorm: flagOf(memory, 'mem_model_norm_add_residual', true),
    chunk: numberOf(published, 'neural_memory_segment_len', segment + longterm),
    momentum: flagOf(memory, 'momentum', true),
    maxLr: numberOf(memory, 'default_step_transform_max_lr', 1),
    lossReduction: 'mean',
    ffMult: numberOf(published, 'ff_mult', 4),
    normEps: 2 ** -23,
    tieEmbeddings: false,
    port: {
      longterm,
      memoryLayers: layers?.map((layer) => layer - 1) ?? null,
      sliding: flagOf(published, 'sliding_window_attn', false),
      gateAttention: flagOf(published, 'neural_mem_gate_attn_output', false),
      weightResidual: flagOf(published, 'neural_mem_weight_residual', false),
      refresh: numberOf(published, 'neural_memory_batch_size', 0),
      maxGradNorm: numberOf(memory, 'max_grad_norm', 0),
      qkNorm: flagOf(memory, 'qk_rmsnorm', false),
      readNorm: flagOf(memory, 'post_rmsnorm', false),
      transitionGate: flagOf(memory, 'gated_transition', false),
    },
  }
}

function publish(config: TitansConfig): PublishedConfig {
  const { port } = config
  return {
    reference: 'lucidrains/titans-pytorch, titans_pytorch/mac_transformer.py, MemoryAsContextTransformer',
    num_tokens: config.vocabulary,
    dim: config.dModel,
    depth: config.nLayers,
    segment_len: config.segment,
    num_persist_mem_tokens: config.persistent,
    num_longterm_mem_tokens: port.longterm,
    dim_head: config.dHead,
    heads: config.nHeads,
    ff_mult: config.ffMult,
    num_residual_streams: 1,
    neural_memory_segment_len: config.chunk,
    ...(port.memoryLayers && { neural_memory_layers: port.memoryLayers.map((layer) => layer + 1) }),
    ...(port.refresh > 0 && { neural_memory_batch_size: port.refresh }),
    sliding_window_attn: port.sliding,
    neural_mem_gate_attn_output: port.gateAttention,
    neural_mem_weight_residual: port.weightResidual,
    neural_memory_kwargs: {
      dim_head: config.memoryWidth,
      heads: config.memoryHeads,
      momentum: config.momentum,
      default_step_transform_max_lr: config.maxLr,
      ...(port.maxGradNorm > 0 && { max_grad_norm: port.maxGradNorm }),
      qk_rmsnorm: port.qkNorm,
      post_rmsnorm: port.readNorm,
      gated_transition: port.transitionGate,
      mem_model_norm_add_residual: config.memoryNorm,
      default_model_kwargs: { depth: config.memoryDepth, expansion_factor: config.memoryExpansion },
    },
  }
}

function names(config: TitansConfig): readonly NameRule[] {
  if (config.variant !== 'mac-port') {
    throw new RangeError(
      `titans: expected variant 'mac-port', got '${config.variant}', whose weights have no published layout.`,
    )
  }
  const layer = 'body.layers.{i}'
  const pairs: readonly (readonly [path: string, name: string])[] = [
    ['embedding.weight', 'token_emb.weight'],
    ['body.longterm', 'longterm_mems'],
    ...['weight', 'bias'].flatMap((kind) => [
      ...[0, 1, 2].flatMap((l): [string, string][] => [
        [`body.chunkEmbedding.layers.${l}.${kind}`, `axial_pos_emb.mlps.0.${2 * l}.${kind}`],
        [`body.offsetEmbedding.layers.${l}.${kind}`, `axial_pos_emb.mlps.1.${2 * l}.${kind}`],
      ]),
      ...Object.entries(gates).map(([path, name]): [string, string] => [
        `${layer}.memory.${path}.${kind}`,
        `layers.{i}.4.${name}.${kind}`,
      ]),
      [`${layer}.attention.vMix.${kind}`, `layers.{i}.5.to_learned_v_mix.0.${kind}`] as const,
      [`${layer}.inProj.${kind}`, `layers.{i}.6.1.${kind}`] as const,
      [`${layer}.outProj.${kind}`, `layers.{i}.6.3.${kind}`] as const,
    ]),
    ...Object.entries(memoryNames).map(([path, name]): [string, string] => [
      `${layer}.memory.${path}`,
      `layers.{i}.4.${name}`,
    ]),
    [`${layer}.attention.norm.weight`, 'layers.{i}.5.norm.weight'],
    [`${layer}.attention.qkvProj.weight`, 'layers.{i}.5.to_qkv.weight'],
    [`${layer}.attention.oProj.weight`, 'layers.{i}.5.to_out.weight'],
    [`${layer}.attention.persistent`, 'layers.{i}.5.persistent_memory'],
    [`${layer}.attention.freqs`, 'layers.{i}.5.rotary_emb.freqs'],
    [`${layer}.mlpNorm.weight`, 'layers.{i}.6.0.weight'],
    ['norm.weight', 'norm.weight'],
    ['head.weight', 'to_logits.weight'],
  ]
  return pairs.map(([path, name]) => ({ path, name }))
}

/** Gates of a memory: weight and bias. */
const gates: Readonly<Record<string, string>> = {
  stepGate: 'to_adaptive_step.0',
  decayGate: 'to_decay_factor.0',
  momentumGate: 'to_momentum.0',
  mixGate: 'to_learned_weight_residual_mix.0',
}

const memoryNames: Readonly<Record<string, string>> = {
  'storeNorm.weight': 'store_norm.weight',
  'retrieveNorm.weight': 'retrieve_norm.weight',
  'qProj.weight': 'to_queries.weight',
  'kProj.weight': 'to_keys.weight',
  'vProj.weight': 'to_values.weight',
  'qNorm.gamma': 'q_norm.gamma',
  'kNorm.gamma': 'k_norm.gamma',
  'readNorm.gamma': 'multihead_rmsnorm.gamma',
  'initialWeights.{j}': 'memory_model_parameters.{j}',
  'readGate.weight': 'retrieve_gate.0.weight',
  'oProj.weight': 'combine_heads.weight',
  transition: 'transition_gate',
}
