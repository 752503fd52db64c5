import {
  type CheckpointLayout,
  type LanguageModel,
  type NameRule,
  normalInit,
  type Paper,
  RMSNorm,
  SwiGLU,
} from '@mneme/core-tensor'
import { MLSTM } from '@mneme/recurrent/mlstm'
import { type DecoderConfig, decoder } from './decoder.js'
import { flagOf, numberOf, oneOf } from './published.js'
import { withoutVectorDecay } from './recipes.js'

export interface XlstmConfig extends DecoderConfig {
  readonly nHeads: number
  /** Widths of keys and of values, all heads together, over dModel. */
  readonly expandK: number
  readonly expandV: number
  /** Inner width of the SwiGLU feed-forward. */
  readonly dInner: number
  /** Soft bounds of the gates' pre-activations and of the scores. */
  readonly gateCap: number
  readonly scoreCap: number
  /** What the bias of the input gate starts at. */
  readonly inputGateBias: number
  readonly eps: number
  readonly normEps: number
  readonly chunk: number
  /** Deviation of the initial linear maps; null for that of the paper. */
  readonly initStd: number | null
  /** Whether a file keeps q, k, v and o, both gates, and both maps of the feed-forward in one tensor each. */
  readonly fused: boolean
}

function build(config: XlstmConfig): LanguageModel {
  const { dModel, dInner, normEps, scoreCap } = config
  const std = config.initStd ?? Math.sqrt(2 / (5 * dModel))
  const projection = { bias: false, init: normalInit(std) }
  return decoder(config, {
    embeddingStd: std,
    headStd: std,
    scoreCap,
    norm: new RMSNorm(dModel, normEps),
    layer: (_, rng) => ({
      mixerNorm: new RMSNorm(dModel, normEps),
      mixer: new MLSTM({ ...config, projection }, rng),
      mlpNorm: new RMSNorm(dModel, normEps),
      mlp: new SwiGLU(dModel, dInner, rng, projection),
    }),
  })
}

/** The library's rounding of the inner width, which is no true ceiling. */
function innerWidth(dModel: number, factor: number, multiple: number): number {
  return Math.floor((dModel * factor + multiple - 1) / multiple) * multiple
}

/** Maps that a fused file keeps in one tensor, each with its number of rows, in the file's order. */
function sharing(prefix: string, name: string, parts: readonly (readonly [path: string, rows: number])[]): NameRule[] {
  const of = parts.reduce((total, [, rows]) => total + rows, 0)
  let from = 0
  return parts.map(([path, rows]) => {
    const rule: NameRule = { path: `${prefix}.${path}`, name, rows: [from, from + rows, of] }
    from += rows
    return rule
  })
}

function names({ fused, dModel, nHeads, expandK, expandV, dInner }: XlstmConfig): NameRule[] {
  const [mixer, mlp] = ['body.layers.{i}.mixer', 'body.layers.{i}.mlp']
  const block = 'backbone.blocks.{i}'
  const [dKeys, dValues] = [Math.trunc(dModel * expandK), Math.trunc(dModel * expandV)]
  const single = (prefix: string, path: string, name: string): NameRule => ({ path: `${prefix}.${path}`, name })
  const theirs = `${block}.mlstm_layer`
  const maps = fused
    ? [
        ...sharing(mixer, `${theirs}.qkv_opreact.weight`, [
          ['qProj.weight', dKeys],
          ['kProj.weight', dKeys],
          ['vProj.weight', dValues],
          ['outputGate.weight', dValues],
        ]),
        ...['weight', 'bias'].flatMap((p) =>
          sharing(mixer, `${theirs}.ifgate_preact.${p}`, [
            [`inputGate.${p}`, nHeads],
            [`forgetGate.${p}`, nHeads],
          ]),
        ),
        ...sharing(mlp, `${block}.ffn.proj_up_gate_z.weight`, [
          ['gateProj.weight', dInner],
          ['upProj.weight', dInner],
        ]),
      ]
    : [
        ...['q', 'k', 'v'].map((p) => single(mixer, `${p}Proj.weight`, `${theirs}.${p}.weight`)),
        single(mixer, 'outputGate.weight', `${theirs}.ogate_preact.weight`),
        ...['weight', 'bias'].flatMap((p) => [
          single(mixer, `inputGate.${p}`, `${theirs}.igate_preact.${p}`),
          single(mixer, `forgetGate.${p}`, `${theirs}.fgate_preact.${p}`),
        ]),
        single(mlp, 'gateProj.weight', `${block}.ffn.proj_up_gate.weight`),
        single(mlp, 'upProj.weight', `${block}.ffn.proj_up.weight`),
      ]
  return [
    { path: 'embedding.weight', name: 'backbone.embeddings.weight' },
    { path: 'body.layers.{i}.mixerNorm.weight', name: `${block}.norm_mlstm.weight` },
    ...maps,
    single(mixer, 'norm.weight', `${theirs}.multihead_norm.weight`),
    single(mixer, 'outProj.weight', `${theirs}.out_proj.weight`),
    { path: 'body.layers.{i}.mlpNorm.weight', name: `${block}.norm_ffn.weight` },
    single(mlp, 'downProj.weight', `${block}.ffn.proj_down.weight`),
    { path: 'norm.weight', name: 'backbone.out_norm.weight' },
    { path: 'head.weight', name: 'lm_head.weight' },
  ]
}

const checkpoint: CheckpointLayout<XlstmConfig> = {
  modelTypes: ['xlstm'],
  config(published) {
    if (flagOf(published, 'use_bias', false)) {
      throw new RangeError('config.json use_bias: expected false, got true. Biases beside those of gates are not here.')
    }
    const dModel = numberOf(published, 'embedding_dim', numberOf(published, 'hidden_size', 4096))
    const multiple = numberOf(published, 'ffn_round_up_to_multiple_of', 64)
    return {
      vocabulary: numberOf(published, 'vocab_size'),
      dModel,
      nLayers: numberOf(published, 'num_blocks', numberOf(published, 'num_hidden_layers', 32)),
      nHeads: numberOf(published, 'num_heads'),
      expandK: numberOf(published, 'qk_dim_factor', 0.5),
      expandV: numberOf(published, 'v_dim_factor', 1),
      dInner: innerWidth(dModel, numberOf(published, 'ffn_proj_factor', 2.667), multiple),
      gateCap: numberOf(published, 'gate_soft_cap', 15),
      scoreCap: numberOf(published, 'output_logit_soft_cap', 30),
      inputGateBias: -10,
      eps: numberOf(published, 'eps', 1e-6),
      normEps: numberOf(published, 'norm_eps', 1e-6),
      chunk: 64,
      initStd: null,
      fused: oneOf(published, 'weight_mode', ['single', 'fused'], 'single') === 'fused',
      tieEmbeddings: flagOf(published, 'tie_word_embeddings', false),
      seed: 0,
    }
  },
  publish: (config) => ({
    model_type: 'xlstm',
    architectures: ['xLSTMForCausalLM'],
    vocab_size: config.vocabulary,
    embedding_dim: config.dModel,
    hidden_size: config.dModel,
    num_blocks: config.nLayers,
    num_hidden_layers: config.nLayers,
    num_heads: config.nHeads,
    qk_dim_factor: config.expandK,
    v_dim_factor: config.expandV,
    // a factor that the library rounds to this very width
    ffn_proj_factor: config.dInner / config.dModel,
    ffn_round_up_to_multiple_of: 1,
    gate_soft_cap: config.gateCap,
    output_logit_soft_cap: config.scoreCap,
    eps: config.eps,
    norm_eps: config.normEps,
    use_bias: false,
    weight_mode: config.fused ? 'fused' : 'single',
    tie_word_embeddings: config.tieEmbeddings,
  }),
  names,
}

/** xLSTM 7B: Beck et al. 2025, arXiv:2503.13427. */
const paper: Paper<XlstmConfig, LanguageModel> = {
  card: {
    key: 'xlstm',
    title: 'xLSTM 7B: A Recurrent LLM for Fast and Efficient Inference',
    authors: 'Beck, Pöppel, Lippe, Kurle, Blies, Klambauer, Böck, Hochreiter',
    year: 2025,
    arxiv: '2503.13427',
    kind: 'language model',
    family: 'recurrent',
    equation:
      'C_t = \\sigma(f_t) C_{t-1} + e^{i_t} k_t v_t^\\top, \\quad n_t = \\sigma(f_t) n_{t-1} + e^{i_t} k_t, \\quad h_t = \\frac{C_t^\\top q_t}{\\max(|n_t^\\top q_t|, 1)}',
    state: 'C, n and m: H K V + H K + H values a layer',
    cost: 'O(D² + H K V)',
    differs: [
      'The block of the 7B model, mLSTM alone; sLSTM and the blocks xLSTM[a:b] of the first paper (arXiv:2405.04517) are not here.',
      "Every linear map starts with the embedding's deviation; the paper starts the last map of each part smaller, by depth.",
      'Published files with biases beside those of the gates are refused.',
    ],
    claim:
      'Character model of the novel against a transformer of as many parameters; decoding takes the same time and bytes at any length.',
  },
  config: {
    vocabulary: 256,
    dModel: 64,
    nLayers: 2,
    nHeads: 2,
    expandK: 0.5,
    expandV: 1,
    dInner: 176,
    gateCap: 15,
    scoreCap: 30,
    inputGateBias: -10,
    eps: 1e-6,
    normEps: 1e-6,
    chunk: 64,
    initStd: null,
    fused: false,
    tieEmbeddings: false,
    seed: 0,
  },
  tiny: {
    vocabulary: 13,
    dModel: 8,
    nLayers: 2,
    nHeads: 2,
    expandK: 0.5,
    expandV: 1,
    dInner: 8,
    gateCap: 15,
    scoreCap: 30,
    inputGateBias: -1,
    eps: 1e-6,
    normEps: 1e-6,
    chunk: 4,
    initStd: 0.4,
    fused: true,
    tieEmbeddings: false,
    seed: 0,
  },
  recipe: { lr: 3e-3, weightDecay: 0.1, groups: withoutVectorDecay },
  build,
  checkpoint,
}

export default paper
