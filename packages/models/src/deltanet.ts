import { DeltaNet } from '@mneme/attention/delta-net'
import { eluPlusOne, type LanguageModel, type Paper, relu, silu, withDefaults } from '@mneme/core-tensor'
import type { Tensor } from '@tensorflow/tfjs-core'
import { convolutions, type FlaConfig, flaDecoder, flaLayout, inMixer, projections } from './fla.js'
import { flagOf, numberOf, oneOf } from './published.js'
import { vectors } from './recipes.js'

const activations = { silu, relu, elu: eluPlusOne, identity: (x: Tensor): Tensor => x }
const activationNames = ['silu', 'relu', 'elu', 'identity'] as const

export interface DeltaNetConfig extends FlaConfig {
  readonly nHeads: number
  /** Width of keys and of values, all heads together, over dModel. */
  readonly expandK: number
  readonly expandV: number
  /** Width of short convolutions; 0 for none. */
  readonly convWidth: number
  /** Of queries and keys. */
  readonly qkActivation: (typeof activationNames)[number]
  /** Queries and keys of length 1, or of sum 1. */
  readonly qkNorm: 'length' | 'sum'
  /** Whether tokens set how much of the error is corrected; all of it if not. */
  readonly learnedBeta: boolean
  readonly allowNegEigval: boolean
  readonly outputGate: boolean
  readonly chunk: number
}

const checkpoint = /* @__PURE__ */ flaLayout<DeltaNetConfig>({
  modelType: 'delta_net',
  architecture: 'DeltaNetForCausalLM',
  read: (published) => ({
    nHeads: numberOf(published, 'num_heads'),
    expandK: numberOf(published, 'expand_k', 1),
    expandV: numberOf(published, 'expand_v', 1),
    convWidth: flagOf(published, 'use_short_conv', true) ? numberOf(published, 'conv_size', 4) : 0,
    qkActivation: oneOf(published, 'qk_activation', activationNames, 'silu'),
    qkNorm: oneOf(published, 'qk_norm', ['l2', 'sum'], 'l2') === 'sum' ? 'sum' : 'length',
    learnedBeta: flagOf(published, 'use_beta', true),
    allowNegEigval: flagOf(published, 'allow_neg_eigval', false),
    outputGate: flagOf(published, 'use_gate', false),
    chunk: 64,
  }),
  write: (config) => ({
    num_heads: config.nHeads,
    expand_k: config.expandK,
    expand_v: config.expandV,
    use_short_conv: config.convWidth > 0,
    conv_size: config.convWidth > 0 ? config.convWidth : 4,
    qk_activation: config.qkActivation,
    qk_norm: config.qkNorm === 'sum' ? 'sum' : 'l2',
    use_beta: config.learnedBeta,
    allow_neg_eigval: config.allowNegEigval,
    use_gate: config.outputGate,
    use_output_norm: true,
    attn_mode: 'chunk',
  }),
  mixer: () => [
    ...projections('q', 'k', 'v', 'b', 'g', 'o'),
    ...convolutions('q', 'k', 'v'),
    inMixer('oNorm.weight', 'o_norm.weight'),
  ],
})

const defaults: DeltaNetConfig = {
  vocabulary: 256,
  dModel: 64,
  nLayers: 2,
  nHeads: 2,
  expandK: 1,
  expandV: 1,
  convWidth: 4,
  qkActivation: 'silu',
  qkNorm: 'length',
  learnedBeta: true,
  allowNegEigval: false,
  outputGate: false,
  dInner: 176,
  normEps: 1e-6,
  chunk: 64,
  initStd: 0.02,
  tieEmbeddings: false,
  seed: 0,
}

function build(config: DeltaNetConfig): LanguageModel {
  return flaDecoder(config, (projection, rng) => {
    const qkActivation = activations[config.qkActivation]
    return new DeltaNet({ ...config, qkActivation, projection }, rng)
  })
}

/**
 * DeltaNet: Schlag et al. 2021, arXiv:2102.11174; Yang et al. 2024, arXiv:2406.06484. `config` is laid over the
 * defaults.
 *
 * @throws RangeError for a key that does not exist
 */
export function deltanet(config: Partial<DeltaNetConfig> = {}): LanguageModel {
  return build(withDefaults('deltanet', defaults, config))
}

const paper: Paper<DeltaNetConfig, LanguageModel> = {
  card: {
    key: 'deltanet',
    title: 'Parallelizing Linear Transformers with the Delta Rule over Sequence Length',
    authors: 'Yang, Wang, Zhang, Shen, Kim',
    year: 2024,
    arxiv: '2406.06484',
    kind: 'language model',
    family: 'attention',
    equation: 'S_t = (I - \\beta_t k_t k_t^\\top) S_{t-1} + \\beta_t k_t v_t^\\top, \\quad o_t = S_t^\\top q_t',
    state: 'S, H K V values a layer, and three convolution tails',
    cost: 'O(D² + H K V)',
    differs: ["Layer and block are those of the authors' library."],
    claim:
      'MQAR at 4 to 32 pairs, D = 64: recall above linear attention and gated linear attention at equal state bytes.',
  },
  config: defaults,
  tiny: {
    vocabulary: 13,
    dModel: 8,
    nLayers: 2,
    nHeads: 2,
    expandK: 1,
    expandV: 0.5,
    convWidth: 3,
    qkActivation: 'elu',
    qkNorm: 'sum',
    learnedBeta: true,
    allowNegEigval: false,
    outputGate: true,
    dInner: 8,
    normEps: 1e-6,
    chunk: 4,
    initStd: 0.4,
    tieEmbeddings: true,
    seed: 0,
  },
  recipe: { lr: 3e-3, weightDecay: 0.1, groups: [vectors] },
  build,
  checkpoint,
}

export default paper
