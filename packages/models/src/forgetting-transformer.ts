import { ForgettingAttention } from '@mneme/attention/forgetting-attention'
import { type LanguageModel, type Paper, withDefaults } from '@mneme/core-tensor'
import { type FlaConfig, flaDecoder, flaLayout, inMixer, projections } from './fla.js'
import { ifUsed } from './if-used.js'
import { flagOf, numberOf } from './published.js'
import { vectors } from './recipes.js'

export interface ForgettingTransformerConfig extends FlaConfig {
  readonly nHeads: number
  readonly nKvHeads: number
  /** What the Pro form adds: norms of queries and keys, a norm and a gate of the output, a shift of keys and values. */
  readonly qkNorm: boolean
  readonly outputNorm: boolean
  readonly outputGate: boolean
  readonly kvShift: boolean
  /** Whether queries, keys and values have biases. */
  readonly qkvBias: boolean
}

/** The library norms queries and keys by this, whatever the other norms have. */
const HEAD_EPSILON = 1e-5

function build(config: ForgettingTransformerConfig): LanguageModel {
  const { dModel, nHeads, qkNorm, outputNorm, qkvBias } = config
  return flaDecoder(
    config,
    (projection, rng) =>
      new ForgettingAttention(
        {
          ...config,
          dHead: dModel / nHeads,
          gate: { from: 'token' },
          rotary: null,
          qkNormEps: qkNorm ? HEAD_EPSILON : null,
          outputNormEps: outputNorm ? HEAD_EPSILON : null,
          projection: { ...projection, bias: qkvBias },
        },
        rng,
      ),
  )
}

const checkpoint = /* @__PURE__ */ flaLayout<ForgettingTransformerConfig>({
  modelType: 'forgetting_transformer',
  architecture: 'ForgettingTransformerForCausalLM',
  read(published) {
    const nHeads = numberOf(published, 'num_heads')
    return {
      nHeads,
      nKvHeads: numberOf(published, 'num_kv_heads', nHeads),
      qkNorm: flagOf(published, 'qk_norm', false),
      outputNorm: false,
      outputGate: flagOf(published, 'use_output_gate', false),
      kvShift: false,
      qkvBias: flagOf(published, 'qkv_bias', false),
    }
  },
  write: (config) => ({
    num_heads: config.nHeads,
    num_kv_heads: config.nKvHeads,
    qk_norm: config.qkNorm,
    use_output_gate: config.outputGate,
    qkv_bias: config.qkvBias,
  }),
  mixer: () => [
    ...projections('q', 'k', 'v', 'f', 'g', 'o'),
    ...['q', 'k', 'v', 'f'].map((p) => inMixer(`${p}Proj.bias`, `${p}_proj.bias`)),
    ...['q', 'k'].map((p) => inMixer(`${p}Norm.weight`, `${p}_norm.weight`)),
  ],
  covers: ({ outputNorm, kvShift }) => !outputNorm && !kvShift,
})

const defaults: ForgettingTransformerConfig = {
  vocabulary: 256,
  dModel: 64,
  nLayers: 2,
  nHeads: 4,
  nKvHeads: 4,
  qkNorm: false,
  outputNorm: false,
  outputGate: false,
  kvShift: false,
  qkvBias: false,
  dInner: 176,
  normEps: 1e-6,
  initStd: 0.02,
  tieEmbeddings: false,
  seed: 0,
}

const tiny: ForgettingTransformerConfig = {
  vocabulary: 13,
  dModel: 8,
  nLayers: 2,
  nHeads: 2,
  nKvHeads: 1,
  qkNorm: true,
  outputNorm: false,
  outputGate: true,
  kvShift: false,
  qkvBias: false,
  dInner: 8,
  normEps: 1e-6,
  initStd: 0.4,
  tieEmbeddings: true,
  seed: 0,
}

/**
 * Forgetting transformer: Lin et al. 2025, arXiv:2503.02130. `config` is laid over the defaults.
 *
 * @throws RangeError for a key that does not exist
 */
export function forgettingTransformer(config: Partial<ForgettingTransformerConfig> = {}): LanguageModel {
  return build(withDefaults('forgettingTransformer', defaults, config))
}

const paper: Paper<ForgettingTransformerConfig, LanguageModel> = {
  card: {
    key: 'forgetting-transformer',
    title: 'Forgetting Transformer: Softmax Attention with a Forget Gate',
    authors: 'Lin, Nikishin, He, Courville',
    year: 2025,
    arxiv: '2503.02130',
    kind: 'language model',
    family: 'attention',
    equation:
      'o_i = \\sum_{j \\le i} \\operatorname{softmax}_j\\Big(\\tfrac{q_i^\\top k_j}{\\sqrt K} + \\sum_{l=j+1}^{i} \\ln f_l\\Big) v_j, \\quad f_t = \\sigma(w_f^\\top x_t + b_f)',
    state: 'keys, values and gates of all tokens: 2 G K + H values a token and layer',
    cost: 'O(D² + T H K)',
    differs: [
      "Layer and block are those of flash-linear-attention, whose checkpoints load: no positions, gates by query head. The Pro form's shift of keys and values and norm of the output are settings that its library has not.",
    ],
    claim:
      'Character model of the novel, trained at 64 tokens and tested at 512: the loss stays where that of the transformer rises.',
  },
  config: defaults,
  tiny,
  recipe: { lr: 3e-3, weightDecay: 0.1, groups: [vectors] },
  build,
  checkpoint,
}

/** Small configurations of what `tiny` does not reach, by name, for the laws. */
export const moreTiny: Readonly<Record<string, ForgettingTransformerConfig>> = /* @__PURE__ */ ifUsed(() => ({
  Pro: { ...tiny, outputNorm: true, kvShift: true },
}))

export default paper
