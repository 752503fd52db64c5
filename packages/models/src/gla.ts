import { GLA } from '@mneme/attention/gated-linear-attention'
import { type LanguageModel, type Paper, withDefaults } from '@mneme/core-tensor'
import { convolutions, type FlaConfig, flaDecoder, flaLayout, inMixer, projections } from './fla.js'
import { flagOf, numberOf } from './published.js'
import { vectors } from './recipes.js'

export interface GlaConfig extends FlaConfig {
  readonly nHeads: number
  /** Heads of keys, values and gates; each serves nHeads / nKvHeads query heads. */
  readonly nKvHeads: number
  /** Width of keys and of values, all heads together, over dModel. */
  readonly expandK: number
  readonly expandV: number
  /** Width between the two linear maps of the forget gate. */
  readonly gateRank: number
  /** The logarithm of the gate is divided by this. */
  readonly gateTemperature: number
  /** Least log decay of a token; null for no bound. */
  readonly minLogDecay: number | null
  /** Width of short convolutions; 0 for none. */
  readonly convWidth: number
  readonly outputGate: boolean
  readonly chunk: number
}

const checkpoint = /* @__PURE__ */ flaLayout<GlaConfig>({
  modelType: 'gla',
  architecture: 'GLAForCausalLM',
  read(published) {
    const nHeads = numberOf(published, 'num_heads')
    const least = published.clamp_min ?? null
    return {
      nHeads,
      nKvHeads: numberOf(published, 'num_kv_heads', nHeads),
      expandK: numberOf(published, 'expand_k', 0.5),
      expandV: numberOf(published, 'expand_v', 1),
      gateRank: numberOf(published, 'gate_low_rank_dim', 16),
      gateTemperature: numberOf(published, 'gate_logit_normalizer', 16),
      minLogDecay: least === null ? null : numberOf(published, 'clamp_min'),
      convWidth: flagOf(published, 'use_short_conv', false) ? numberOf(published, 'conv_size', 4) : 0,
      outputGate: flagOf(published, 'use_output_gate', true),
      chunk: 64,
    }
  },
  write: (config) => ({
    num_heads: config.nHeads,
    num_kv_heads: config.nKvHeads,
    expand_k: config.expandK,
    expand_v: config.expandV,
    gate_low_rank_dim: config.gateRank,
    gate_logit_normalizer: config.gateTemperature,
    clamp_min: config.minLogDecay,
    use_short_conv: config.convWidth > 0,
    conv_size: config.convWidth > 0 ? config.convWidth : 4,
    use_output_gate: config.outputGate,
    attn_mode: 'chunk',
  }),
  mixer: () => [
    ...projections('q', 'k', 'v', 'g', 'o'),
    ...convolutions('q', 'k', 'v'),
    ...['weight', 'bias'].map((p) => inMixer(`gkProj.{j}.${p}`, `gk_proj.{j}.${p}`)),
    inMixer('gNorm.weight', 'g_norm_swish_gate.weight'),
  ],
})

const defaults: GlaConfig = {
  vocabulary: 256,
  dModel: 64,
  nLayers: 2,
  nHeads: 2,
  nKvHeads: 2,
  expandK: 1,
  expandV: 1,
  gateRank: 16,
  gateTemperature: 16,
  minLogDecay: null,
  convWidth: 4,
  outputGate: true,
  dInner: 176,
  normEps: 1e-6,
  chunk: 64,
  initStd: 0.02,
  tieEmbeddings: false,
  seed: 0,
}

function build(config: GlaConfig): LanguageModel {
  return flaDecoder(config, (projection, rng) => new GLA({ ...config, featureMap: null, projection }, rng))
}

/**
 * Gated linear attention: Yang et al. 2023, arXiv:2312.06635. `config` is laid over the defaults.
 *
 * @throws RangeError for a key that does not exist
 */
export function gla(config: Partial<GlaConfig> = {}): LanguageModel {
  return build(withDefaults('gla', defaults, config))
}

const paper: Paper<GlaConfig, LanguageModel> = {
  card: {
    key: 'gla',
    title: 'Gated Linear Attention Transformers with Hardware-Efficient Training',
    authors: 'Yang, Wang, Shen, Panda, Kim',
    year: 2023,
    arxiv: '2312.06635',
    kind: 'language model',
    family: 'attention',
    equation: 'S_t = \\operatorname{diag}(\\alpha_t) S_{t-1} + k_t v_t^\\top, \\quad o_t = S_t^\\top q_t',
    state: 'S, H K V values a layer; with convolutions their tails',
    cost: 'O(D² + H K V)',
    differs: ["Layer and block are those of the authors' library."],
    claim: 'MQAR at 4 to 32 pairs, D = 64: recall above linear attention without gates and below the delta rule.',
  },
  config: defaults,
  tiny: {
    vocabulary: 13,
    dModel: 8,
    nLayers: 2,
    nHeads: 2,
    nKvHeads: 1,
    expandK: 0.5,
    expandV: 1,
    gateRank: 3,
    gateTemperature: 4,
    minLogDecay: null,
    convWidth: 3,
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
