import { GatedDeltaNet } from '@mneme/attention/gated-delta-net'
import {
  type CheckpointLayout,
  type LanguageModel,
  type NameRule,
  normalInit,
  type Paper,
  RMSNorm,
  SwiGLU,
} from '@mneme/core-tensor'
import { type DecoderConfig, decoder } from './decoder.js'
import { flagOf, numberOf, oneOf } from './published.js'
import { withoutVectorDecay } from './recipes.js'

export interface GatedDeltaNetConfig extends DecoderConfig {
  readonly nHeads: number
  readonly nVHeads: number
  readonly dHead: number
  readonly expandV: number
  readonly convWidth: number
  readonly outputGate: boolean
  readonly allowNegEigval: boolean
  /** Inner width of the SwiGLU feed-forward. */
  readonly dInner: number
  readonly normEps: number
  readonly chunk: number
  readonly initStd: number
}

function build(config: GatedDeltaNetConfig): LanguageModel {
  const { dModel, dInner, normEps, initStd } = config
  const projection = { bias: false, init: normalInit(initStd) }
  return decoder(config, {
    embeddingStd: initStd,
    headStd: initStd,
    norm: new RMSNorm(dModel, normEps),
    layer: (_, rng) => ({
      mixerNorm: new RMSNorm(dModel, normEps),
      mixer: new GatedDeltaNet({ ...config, projection }, rng),
      mlpNorm: new RMSNorm(dModel, normEps),
      mlp: new SwiGLU(dModel, dInner, rng, projection),
    }),
  })
}

/** Width of the feed-forward where config.json names none: two thirds of the ratio, up to a multiple of 256. */
export function flaInner(dModel: number, hiddenRatio: number): number {
  return 256 * Math.ceil(Math.trunc((dModel * hiddenRatio * 2) / 3) / 256)
}

const checkpoint: CheckpointLayout<GatedDeltaNetConfig> = {
  modelTypes: ['gated_deltanet'],
  config(published) {
    oneOf(published, 'hidden_act', ['swish', 'silu'], 'swish')
    const dModel = numberOf(published, 'hidden_size')
    const nHeads = numberOf(published, 'num_heads')
    return {
      vocabulary: numberOf(published, 'vocab_size'),
      dModel,
      nLayers: numberOf(published, 'num_hidden_layers'),
      nHeads,
      nVHeads: numberOf(published, 'num_v_heads', nHeads),
      dHead: numberOf(published, 'head_dim', 256),
      expandV: numberOf(published, 'expand_v', 2),
      convWidth: numberOf(published, 'conv_size', 4),
      outputGate: flagOf(published, 'use_gate', true),
      allowNegEigval: flagOf(published, 'allow_neg_eigval', false),
      dInner: numberOf(published, 'intermediate_size', flaInner(dModel, numberOf(published, 'hidden_ratio', 4))),
      normEps: numberOf(published, 'norm_eps', 1e-6),
      tieEmbeddings: flagOf(published, 'tie_word_embeddings', false),
      initStd: numberOf(published, 'initializer_range', 0.02),
      chunk: 64,
      seed: 0,
    }
  },
  publish: (config) => ({
    model_type: 'gated_deltanet',
    architectures: ['GatedDeltaNetForCausalLM'],
    vocab_size: config.vocabulary,
    hidden_size: config.dModel,
    num_hidden_layers: config.nLayers,
    num_heads: config.nHeads,
    num_v_heads: config.nVHeads,
    head_dim: config.dHead,
    expand_v: config.expandV,
    conv_size: config.convWidth,
    use_short_conv: true,
    use_gate: config.outputGate,
    allow_neg_eigval: config.allowNegEigval,
    intermediate_size: config.dInner,
    norm_eps: config.normEps,
    hidden_act: 'swish',
    tie_word_embeddings: config.tieEmbeddings,
    initializer_range: config.initStd,
    attn_mode: 'chunk',
  }),
  names: (): readonly NameRule[] => [
    { path: 'embedding.weight', name: 'model.embeddings.weight' },
    { path: 'body.layers.{i}.mixerNorm.weight', name: 'model.layers.{i}.attn_norm.weight' },
    ...(['q', 'k', 'v', 'a', 'b', 'g', 'o'] as const).map((p) => ({
      path: `body.layers.{i}.mixer.${p}Proj.weight`,
      name: `model.layers.{i}.attn.${p}_proj.weight`,
    })),
    ...(['q', 'k', 'v'] as const).map((p) => ({
      path: `body.layers.{i}.mixer.${p}Conv.weight`,
      name: `model.layers.{i}.attn.${p}_conv1d.weight`,
      squeeze: 1,
    })),
    { path: 'body.layers.{i}.mixer.logRate', name: 'model.layers.{i}.attn.A_log' },
    { path: 'body.layers.{i}.mixer.rateBias', name: 'model.layers.{i}.attn.dt_bias' },
    { path: 'body.layers.{i}.mixer.oNorm.weight', name: 'model.layers.{i}.attn.o_norm.weight' },
    { path: 'body.layers.{i}.mlpNorm.weight', name: 'model.layers.{i}.mlp_norm.weight' },
    ...(['gate', 'up', 'down'] as const).map((p) => ({
      path: `body.layers.{i}.mlp.${p}Proj.weight`,
      name: `model.layers.{i}.mlp.${p}_proj.weight`,
    })),
    { path: 'norm.weight', name: 'model.norm.weight' },
    { path: 'head.weight', name: 'lm_head.weight' },
  ],
}

/** Gated DeltaNet: Yang et al. 2024, arXiv:2412.06464. */
const paper: Paper<GatedDeltaNetConfig, LanguageModel> = {
  card: {
    key: 'gated-deltanet',
    title: 'Gated Delta Networks: Improving Mamba2 with Delta Rule',
    authors: 'Yang, Kautz, Hatamizadeh',
    year: 2024,
    arxiv: '2412.06464',
    kind: 'language model',
    family: 'attention',
    equation:
      'S_t = \\alpha_t (I - \\beta_t k_t k_t^\\top) S_{t-1} + \\beta_t k_t v_t^\\top, \\quad o_t = S_t^\\top q_t',
    state: 'S, H K V values a layer, and three convolution tails',
    cost: 'O(D² + H K V)',
    differs: ["Layer and block are those of the authors' library, whose heads have values twice as wide as keys."],
    claim:
      'MQAR at 4 to 32 pairs, D = 64, one head of K = 32: recall above linear attention and gated linear attention at equal state bytes.',
  },
  config: {
    vocabulary: 256,
    dModel: 64,
    nLayers: 2,
    nHeads: 2,
    nVHeads: 2,
    dHead: 32,
    expandV: 1,
    convWidth: 4,
    outputGate: true,
    allowNegEigval: false,
    dInner: 192,
    normEps: 1e-6,
    chunk: 64,
    initStd: 0.02,
    tieEmbeddings: false,
    seed: 0,
  },
  tiny: {
    vocabulary: 13,
    dModel: 6,
    nLayers: 2,
    nHeads: 1,
    nVHeads: 2,
    dHead: 4,
    expandV: 1.5,
    convWidth: 3,
    outputGate: true,
    allowNegEigval: true,
    dInner: 8,
    normEps: 1e-6,
    chunk: 4,
    initStd: 0.4,
    tieEmbeddings: true,
    seed: 0,
  },
  recipe: { lr: 3e-3, weightDecay: 0.1, groups: withoutVectorDecay },
  build,
  checkpoint,
}

export default paper
