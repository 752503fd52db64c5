import { GatedDeltaNet } from '@mneme/attention/gated-delta-net'
import { type LanguageModel, type Paper, withDefaults } from '@mneme/core-tensor'
import { convolutions, type FlaConfig, flaDecoder, flaLayout, inMixer, projections } from './fla.js'
import { flagOf, numberOf } from './published.js'
import { vectors } from './recipes.js'

export interface GatedDeltaNetConfig extends FlaConfig {
  readonly nHeads: number
  readonly nVHeads: number
  readonly dHead: number
  readonly expandV: number
  readonly convWidth: number
  readonly outputGate: boolean
  readonly allowNegEigval: boolean
  readonly chunk: number
}

const checkpoint = /* @__PURE__ */ flaLayout<GatedDeltaNetConfig>({
  modelType: 'gated_deltanet',
  architecture: 'GatedDeltaNetForCausalLM',
  read(published) {
    const nHeads = numberOf(published, 'num_heads')
    return {
      nHeads,
      nVHeads: numberOf(published, 'num_v_heads', nHeads),
      dHead: numberOf(published, 'head_dim', 256),
      expandV: numberOf(published, 'expand_v', 2),
      convWidth: numberOf(published, 'conv_size', 4),
      outputGate: flagOf(published, 'use_gate', true),
      allowNegEigval: flagOf(published, 'allow_neg_eigval', false),
      chunk: 64,
    }
  },
  write: (config) => ({
    num_heads: config.nHeads,
    num_v_heads: config.nVHeads,
    head_dim: config.dHead,
    expand_v: config.expandV,
    conv_size: config.convWidth,
    use_short_conv: true,
    use_gate: config.outputGate,
    allow_neg_eigval: config.allowNegEigval,
    attn_mode: 'chunk',
  }),
  mixer: () => [
    ...projections('q', 'k', 'v', 'a', 'b', 'g', 'o'),
    ...convolutions('q', 'k', 'v'),
    inMixer('logRate', 'A_log'),
    inMixer('rateBias', 'dt_bias'),
    inMixer('oNorm.weight', 'o_norm.weight'),
  ],
})

const defaults: GatedDeltaNetConfig = {
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
}

function build(config: GatedDeltaNetConfig): LanguageModel {
  return flaDecoder(config, (projection, rng) => new GatedDeltaNet({ ...config, projection }, rng))
}

/**
 * Gated DeltaNet: Yang et al. 2024, arXiv:2412.06464. `config` is laid over the defaults.
 *
 * @throws RangeError for a key that does not exist
 */
export function gatedDeltanet(config: Partial<GatedDeltaNetConfig> = {}): LanguageModel {
  return build(withDefaults('gatedDeltanet', defaults, config))
}

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
  config: defaults,
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
  recipe: { lr: 3e-3, weightDecay: 0.1, groups: [vectors] },
  build,
  checkpoint,
}

export default paper
