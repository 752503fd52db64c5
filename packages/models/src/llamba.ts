import {
  type CheckpointLayout,
  type LanguageModel,
  type NameRule,
  normalInit,
  type Paper,
  RMSNorm,
  SwiGLU,
  withDefaults,
} from '@mneme/core-tensor'
import { DiscreteMamba2 } from '@mneme/recurrent/discrete-mamba2'
import { type DecoderConfig, decoder } from './decoder.js'
import { ifUsed } from './if-used.js'
import { flagOf, numberOf, oneOf, type PublishedConfig } from './published.js'
import { vectors } from './recipes.js'

export interface LlambaConfig extends DecoderConfig {
  /** Heads of values, and their width. */
  readonly nHeads: number
  readonly dHead: number
  /** Groups of heads that share B and C: heads of queries and keys. */
  readonly nGroups: number
  readonly dState: number
  readonly convWidth: number
  /** What follows the convolution. */
  readonly activation: 'identity' | 'silu'
  readonly bias: boolean
  /** Inner width of the SwiGLU feed-forward. */
  readonly dInner: number
  readonly mlpBias: boolean
  readonly normEps: number
  readonly chunk: number
  readonly initStd: number
}

function build(config: LlambaConfig): LanguageModel {
  const { dModel, dInner, normEps, initStd, bias, mlpBias } = config
  const init = normalInit(initStd)
  return decoder(config, {
    embeddingStd: initStd,
    headStd: initStd,
    norm: new RMSNorm(dModel, normEps),
    layer: (_, rng) => ({
      mixerNorm: new RMSNorm(dModel, normEps),
      mixer: new DiscreteMamba2({ ...config, convBias: true, projection: { bias, init } }, rng),
      mlpNorm: new RMSNorm(dModel, normEps),
      mlp: new SwiGLU(dModel, dInner, rng, { bias: mlpBias, init }),
    }),
  })
}

const part = (published: PublishedConfig, key: string): PublishedConfig => (published[key] ?? {}) as PublishedConfig

/** The vocabulary, up to a whole multiple, as the embedding has it. */
function vocabularyOf(published: PublishedConfig): number {
  const multiple = numberOf(published, 'pad_vocab_size_multiple', 8)
  return multiple * Math.ceil(numberOf(published, 'vocab_size') / multiple)
}

const checkpoint: CheckpointLayout<LlambaConfig> = {
  modelTypes: ['llamba'],
  config(published) {
    const mixer = part(published, 'ssm_cfg')
    const mlp = part(published, 'mlp_cfg')
    oneOf(mlp, 'act_fn', ['silu'], 'silu')
    for (const [key, config] of Object.entries({ lm_head_bias: published, conv_bias: mixer })) {
      const only = key === 'conv_bias'
      if (flagOf(config, key, only) !== only)
        throw new RangeError(`config.json ${key}: expected ${only}, got ${!only}.`)
    }
    const dModel = numberOf(published, 'd_model', 4096)
    const nHeads = numberOf(mixer, 'n_v_heads', 32)
    const activation = oneOf(mixer, 'activation', ['identity', 'silu', 'swish'], 'identity')
    return {
      vocabulary: vocabularyOf(published),
      dModel,
      nLayers: numberOf(published, 'n_layer', 32),
      nHeads,
      dHead: (numberOf(mixer, 'expand', 1) * dModel) / nHeads,
      nGroups: numberOf(mixer, 'n_qk_heads', 32),
      dState: numberOf(mixer, 'd_state', 64),
      convWidth: numberOf(mixer, 'd_conv', 4),
      activation: activation === 'identity' ? 'identity' : 'silu',
      bias: flagOf(mixer, 'bias', false),
      dInner: numberOf(mlp, 'intermediate_size', 14336),
      mlpBias: flagOf(mlp, 'bias', false),
      normEps: numberOf(published, 'norm_epsilon', 1e-5),
      chunk: numberOf(mixer, 'chunk_size', 128),
      initStd: 0.02,
      tieEmbeddings: flagOf(published, 'tie_embeddings', false),
      seed: 0,
    }
  },
  publish: (config) => ({
    model_type: 'llamba',
    architectures: ['LlambaLMHeadModel'],
    vocab_size: config.vocabulary,
    pad_vocab_size_multiple: 1,
    d_model: config.dModel,
    n_layer: config.nLayers,
    norm_epsilon: config.normEps,
    lm_head_bias: false,
    tie_embeddings: config.tieEmbeddings,
    ssm_cfg: {
      d_state: config.dState,
      n_v_heads: config.nHeads,
      n_qk_heads: config.nGroups,
      d_conv: config.convWidth,
      expand: (config.nHeads * config.dHead) / config.dModel,
      chunk_size: config.chunk,
      activation: config.activation,
      bias: config.bias,
    },
    mlp_cfg: { intermediate_size: config.dInner, bias: config.mlpBias, act_fn: 'silu' },
  }),
  names(): readonly NameRule[] {
    const [layer, theirs] = ['body.layers.{i}', 'backbone.layers.{i}']
    return [
      { path: 'embedding.weight', name: 'backbone.embedding.weight' },
      { path: `${layer}.mixerNorm.weight`, name: `${theirs}.input_layernorm.weight` },
      ...(['weight', 'bias'] as const).flatMap((p) => [
        { path: `${layer}.mixer.inProj.${p}`, name: `${theirs}.mixer.in_proj.${p}` },
        { path: `${layer}.mixer.outProj.${p}`, name: `${theirs}.mixer.out_proj.${p}` },
        ...['gate', 'up', 'down'].map((m) => ({
          path: `${layer}.mlp.${m}Proj.${p}`,
          name: `${theirs}.mlp.${m}_proj.${p}`,
        })),
      ]),
      { path: `${layer}.mixer.conv.weight`, name: `${theirs}.mixer.conv1d.weight`, squeeze: 1 },
      { path: `${layer}.mixer.conv.bias`, name: `${theirs}.mixer.conv1d.bias` },
      { path: `${layer}.mixer.gateBias`, name: `${theirs}.mixer.z_bias` },
      { path: `${layer}.mixer.skip`, name: `${theirs}.mixer.D` },
      { path: `${layer}.mlpNorm.weight`, name: `${theirs}.post_attention_layernorm.weight` },
      { path: 'norm.weight', name: 'backbone.final_layernorm.weight' },
      { path: 'head.weight', name: 'lm_head.weight' },
    ]
  },
}

const defaults: LlambaConfig = {
  vocabulary: 256,
  dModel: 64,
  nLayers: 2,
  nHeads: 4,
  dHead: 16,
  nGroups: 4,
  dState: 16,
  convWidth: 4,
  activation: 'identity',
  bias: false,
  dInner: 176,
  mlpBias: false,
  normEps: 1e-5,
  chunk: 64,
  initStd: 0.02,
  tieEmbeddings: false,
  seed: 0,
}

const tiny: LlambaConfig = {
  vocabulary: 13,
  dModel: 6,
  nLayers: 2,
  nHeads: 4,
  dHead: 3,
  nGroups: 2,
  dState: 3,
  convWidth: 3,
  activation: 'identity',
  bias: false,
  dInner: 8,
  mlpBias: false,
  normEps: 1e-5,
  chunk: 4,
  initStd: 0.4,
  tieEmbeddings: true,
  seed: 0,
}

/**
 * Llamba: Bick et al. 2025, arXiv:2502.14458. `config` is laid over the defaults.
 *
 * @throws RangeError for a key that does not exist
 */
export function llamba(config: Partial<LlambaConfig> = {}): LanguageModel {
  return build(withDefaults('llamba', defaults, config))
}

const paper: Paper<LlambaConfig, LanguageModel> = {
  card: {
    key: 'llamba',
    title: 'Llamba: Scaling Distilled Recurrent Models for Efficient Language Processing',
    authors: 'Bick, Katsch, Sohoni, Desai, Gu',
    year: 2025,
    arxiv: '2502.14458',
    kind: 'language model',
    family: 'recurrent',
    equation: 'S_t = \\sigma(-a_t) S_{t-1} + B_t x_t^\\top, \\quad y_t = S_t^\\top C_t + D x_t',
    state: 'S, H N P values a layer, and a convolution tail',
    cost: 'O(D² + H N P)',
    differs: [
      'The architecture alone. Distilling it from a transformer in three stages (MOHAWK, arXiv:2408.10189) is `distillation` of the training package; the student starts from random mixers there, not from ones that do nothing.',
      'It starts from random weights, with plain convolutions and gates; a student starts from its teacher.',
    ],
    claim:
      'A student of two layers of attention on the novel: distilled in three stages, a lower loss than distilled from scores alone in as many steps.',
  },
  config: defaults,
  tiny,
  recipe: {
    lr: 3e-3,
    weightDecay: 0.1,
    groups: [vectors, { match: /\.(gateBias|skip)$/, weightDecay: 0 }],
  },
  build,
  checkpoint,
}

/** Small configurations of what `tiny` does not reach, by name, for the laws. */
export const moreTiny: Readonly<Record<string, LlambaConfig>> = /* @__PURE__ */ ifUsed(() => ({
  'activated, with biases': {
    ...tiny,
    nLayers: 1,
    activation: 'silu',
    bias: true,
    mlpBias: true,
    tieEmbeddings: false,
  },
}))

export default paper
