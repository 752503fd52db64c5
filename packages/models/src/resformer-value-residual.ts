import { SoftmaxAttention } from '@mneme/attention/softmax-attention'
import { ValueResidual, type ValueRole } from '@mneme/attention/value-residual'
import { type CheckpointLayout, type LanguageModel, type Paper, withDefaults } from '@mneme/core-tensor'
import { ifUsed } from './if-used.js'
import {
  type LlamaConfig,
  llamaBuffers,
  llamaDecoder,
  llamaDefaults,
  llamaNames,
  llamaTiny,
  publishLlama,
  readLlama,
} from './llama.js'
import { flagOf, numberOf, oneOf } from './published.js'
import { vectors } from './recipes.js'

export interface ResformerConfig extends LlamaConfig {
  /** Values mixed with the first layer's; those alone; or outputs pulled by the difference of the two. */
  readonly variant: 'resformer' | 'svformer' | 'neutreno'
  /** Shares of the first layer's values and of a layer's own, in 'resformer'. */
  readonly firstShare: number
  readonly ownShare: number
  /** Whether these shares are learned, by layer. */
  readonly learnedShares: boolean
  /** Layers that mix, counted from 0; null for all from the second on. */
  readonly mixedLayers: readonly number[] | null
  /** How hard outputs are pulled, in 'neutreno'. */
  readonly pull: number
}

function valueRole(config: ResformerConfig, layer: number): ValueRole | null {
  const { variant, firstShare: first, ownShare: own, learnedShares: learned, mixedLayers } = config
  if (layer === 0) return { kind: 'first' }
  if (variant === 'svformer') return { kind: 'shared' }
  if (mixedLayers !== null && !mixedLayers.includes(layer)) return null
  return variant === 'neutreno' ? { kind: 'pulled', strength: config.pull } : { kind: 'mixed', first, own, learned }
}

const checkpoint: CheckpointLayout<ResformerConfig> = {
  modelTypes: ['resformer', 'svformer', 'neutreno'],
  config: (published) => ({
    ...readLlama(published),
    variant: oneOf(published, 'model_type', ['resformer', 'svformer', 'neutreno'], 'resformer'),
    firstShare: numberOf(published, 'value_residual_first', 0.5),
    ownShare: numberOf(published, 'value_residual_own', 0.5),
    learnedShares: flagOf(published, 'value_residual_learned', false),
    mixedLayers: (published.value_residual_layers ?? null) as readonly number[] | null,
    pull: numberOf(published, 'neutreno_lambda', 0.4),
  }),
  publish: (config) => ({
    ...publishLlama(config),
    model_type: config.variant,
    ...(config.variant === 'resformer' && {
      value_residual_first: config.firstShare,
      value_residual_own: config.ownShare,
      value_residual_learned: config.learnedShares,
    }),
    ...(config.variant === 'neutreno' && { neutreno_lambda: config.pull }),
    ...(config.variant !== 'svformer' && { value_residual_layers: config.mixedLayers }),
  }),
  names: () => [
    {
      path: 'body.layers.{i}.mixer.valueResidual.lambda',
      name: 'model.layers.{i}.self_attn.value_residual_lambda',
    },
    ...llamaNames(),
  ],
  ignore: llamaBuffers,
}

const defaults: ResformerConfig = /* @__PURE__ */ ifUsed(() => ({
  ...llamaDefaults,
  nLayers: 4,
  nKvHeads: 4,
  variant: 'resformer',
  firstShare: 0.5,
  ownShare: 0.5,
  learnedShares: false,
  mixedLayers: null,
  pull: 0.4,
}))

function build(config: ResformerConfig): LanguageModel {
  return llamaDecoder(config, (options, rng, layer) => {
    const role = valueRole(config, layer)
    return new SoftmaxAttention({ ...options, valueResidual: role && new ValueResidual(role) }, rng) as never
  })
}

const tiny: ResformerConfig = /* @__PURE__ */ ifUsed(() => ({
  ...llamaDefaults,
  ...llamaTiny,
  nLayers: 3,
  attentionBias: true,
  variant: 'resformer',
  firstShare: 0.3,
  ownShare: 0.8,
  learnedShares: true,
  mixedLayers: [2],
  pull: 0.4,
}))

/**
 * ResFormer and SVFormer: Zhou et al. 2024, arXiv:2410.17897. `config` is laid over the defaults.
 *
 * @throws RangeError for a key that does not exist
 */
export function resformerValueResidual(config: Partial<ResformerConfig> = {}): LanguageModel {
  return build(withDefaults('resformerValueResidual', defaults, config))
}

const paper: Paper<ResformerConfig, LanguageModel> = {
  card: {
    key: 'resformer-value-residual',
    title: 'Value Residual Learning For Alleviating Attention Concentration In Transformers',
    authors: 'Zhou, Wang, Wang, Lin, Luo and others',
    year: 2024,
    arxiv: '2410.17897',
    kind: 'language model',
    family: 'attention',
    equation: "V'_n = \\lambda_1 V_1 + \\lambda_2 V_n, \\quad U_n = \\mathrm{softmax}(Q_n K_n^\\top / \\sqrt K) V'_n",
    state: 'keys and mixed values of every token, 2 G K T values a layer; in SVFormer (L + 1) G K T in all layers',
    cost: 'O(D² + T H K)',
    differs: [
      'Shares are one half each, as in the published code; learnedShares learns two numbers a layer, and mixedLayers mixes in some layers only. The dense form, where each layer sees the values of all before it, is not here.',
      "variant: 'neutreno' is the baseline of the paper (arXiv:2312.00751).",
      "Published files call themselves llama: load them with modelType: 'resformer', 'svformer' or 'neutreno', which is also the model_type that is written.",
    ],
    claim:
      'Character model of the novel, 8 layers, D = 128, three seeds: validation loss of ResFormer below that of the transformer, and SVFormer with half of its keys and values close to it.',
  },
  config: defaults,
  tiny,
  recipe: {
    lr: 3e-3,
    weightDecay: 0.1,
    groups: [vectors, { match: /valueResidual\.lambda$/, weightDecay: 0 }],
  },
  build,
  checkpoint,
}

/** Small configurations of what `tiny` does not reach, by name, for the laws. */
export const moreTiny: Readonly<Record<string, ResformerConfig>> = /* @__PURE__ */ ifUsed(() => ({
  SVFormer: { ...tiny, variant: 'svformer', nLayers: 2 },
  'SVFormer in a window': { ...tiny, variant: 'svformer', nLayers: 2, window: 5 },
  NeuTRENO: { ...tiny, variant: 'neutreno', nLayers: 2, mixedLayers: null },
}))

export default paper
