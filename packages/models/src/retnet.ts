import { type CheckpointLayout, type LanguageModel, type Paper, withDefaults } from '@mneme/core-tensor'
import { Retention } from '@mneme/recurrent/retention'
import { type FlaConfig, flaDecoder, flaLayout, inMixer, projections } from './fla.js'
import { ifUsed } from './if-used.js'
import { flagOf, numberOf, oneOf } from './published.js'
import { vectors } from './recipes.js'
import { fromTorchscale, noTorchscale, torchscaleDecoder, torchscaleNames, toTorchscale } from './retnet-torchscale.js'

export interface RetNetConfig extends FlaConfig {
  readonly nHeads: number
  /** Width of keys and of values, all heads together, over dModel. */
  readonly expandK: number
  readonly expandV: number
  readonly ropeBase: number
  readonly chunk: number
  /** The form of flash-linear-attention, or that of the authors' library. */
  readonly form: 'fla' | 'torchscale'
  /** What only 'torchscale' has. */
  readonly torchscale: {
    /**
     * `recurrent` keeps one memory. `parallel` divides each row of scores by its own sum as well, as the authors do
     * outside of decoding, and so keeps every key: the difference is that of an epsilon.
     */
    readonly compute: 'recurrent' | 'parallel'
    /** Width of values, all heads together; stands for expandV. */
    readonly valueWidth: number
    /** Decays by head: 1 − 2^(−5−h), or from 31/32 to 511/512, evenly in the logarithm of what is lost. */
    readonly decays: 'powers' | 'even'
    /** Whether the feed-forward is gated. */
    readonly gated: boolean
    readonly activation: 'gelu' | 'relu' | 'swish'
    /** Norm inside a feed-forward that is not gated. */
    readonly innerNorm: 'none' | 'layer' | 'rms'
    readonly postNorm: boolean
    /** Whether what goes by each part is multiplied by (2 L)^1/4. */
    readonly deepNorm: boolean
    readonly scaleEmbeddings: boolean
    readonly embeddingNorm: boolean
    /** The token of padding, whose row lookups do not teach. */
    readonly paddingId: number | null
  }
}

const flaCheckpoint = /* @__PURE__ */ flaLayout<RetNetConfig>({
  modelType: 'retnet',
  architecture: 'RetNetForCausalLM',
  read(published) {
    const nHeads = numberOf(published, 'num_heads')
    oneOf(published, 'num_kv_heads', [nHeads], nHeads)
    for (const [key, only] of [
      ['use_short_conv', false],
      ['use_output_gate', true],
    ] as const) {
      if (flagOf(published, key, only) !== only) {
        throw new RangeError(`config.json ${key}: expected ${only}, got ${!only}, which this architecture has not.`)
      }
    }
    return {
      nHeads,
      expandK: numberOf(published, 'expand_k', 1),
      expandV: numberOf(published, 'expand_v', 2),
      ropeBase: 10000,
      chunk: 64,
      form: 'fla',
      torchscale: noTorchscale,
    }
  },
  write: ({ nHeads, expandK, expandV }) => ({
    num_heads: nHeads,
    expand_k: expandK,
    expand_v: expandV,
    use_short_conv: false,
    use_output_gate: true,
    attn_mode: 'chunk',
  }),
  mixer: () => [...projections('q', 'k', 'v', 'g', 'o'), inMixer('gNorm.weight', 'g_norm_swish_gate.weight')],
})

const checkpoint: CheckpointLayout<RetNetConfig> = {
  modelTypes: ['retnet'],
  config: (published) =>
    'decoder_embed_dim' in published ? fromTorchscale(published) : flaCheckpoint.config(published),
  publish: (config) => (config.form === 'fla' ? flaCheckpoint.publish(config) : toTorchscale(config)),
  names: (config) => (config.form === 'fla' ? flaCheckpoint.names(config) : torchscaleNames(config)),
  ignore: [/retnet_rel_pos\.(angle|decay)$/],
}

const defaults: RetNetConfig = /* @__PURE__ */ ifUsed(() => ({
  vocabulary: 256,
  dModel: 64,
  nLayers: 2,
  nHeads: 4,
  expandK: 1,
  expandV: 2,
  ropeBase: 10000,
  form: 'fla',
  torchscale: { ...noTorchscale, valueWidth: 128 },
  dInner: 128,
  normEps: 1e-6,
  chunk: 64,
  initStd: 0.02,
  tieEmbeddings: false,
  seed: 0,
}))

function build(config: RetNetConfig): LanguageModel {
  return config.form === 'torchscale'
    ? torchscaleDecoder(config)
    : flaDecoder(config, (projection, rng) => new Retention({ ...config, projection }, rng))
}

const tiny: RetNetConfig = {
  vocabulary: 13,
  dModel: 8,
  nLayers: 2,
  nHeads: 2,
  expandK: 1,
  expandV: 1.5,
  ropeBase: 10000,
  form: 'fla',
  torchscale: noTorchscale,
  dInner: 8,
  normEps: 1e-6,
  chunk: 4,
  initStd: 0.4,
  tieEmbeddings: true,
  seed: 0,
}

/**
 * RetNet: Sun et al. 2023, arXiv:2307.08621. `config` is laid over the defaults.
 *
 * @throws RangeError for a key that does not exist
 */
export function retnet(config: Partial<RetNetConfig> = {}): LanguageModel {
  return build(withDefaults('retnet', defaults, config))
}

const paper: Paper<RetNetConfig, LanguageModel> = {
  card: {
    key: 'retnet',
    title: 'Retentive Network: A Successor to Transformer for Large Language Models',
    authors: 'Sun, Dong, Huang, Ma, Xia, Xue, Wang, Wei',
    year: 2023,
    arxiv: '2307.08621',
    kind: 'language model',
    family: 'recurrent',
    equation: 'S_t = \\gamma_h S_{t-1} + k_t v_t^\\top, \\quad o_t = S_t^\\top q_t, \\quad \\gamma_h = 1 - 2^{-5-h}',
    state: 'S, H K V values a layer',
    cost: 'O(D² + H K V)',
    differs: [
      'The form of flash-linear-attention: rotations pair features half a head apart, the norm by head has a weight, the feed-forward is SwiGLU, and scores are not normalised by rows, which the norm makes no difference of but for its epsilon.',
      "form: 'torchscale' is that of the authors' library, in the files of its common port. The library normalises rows of scores by their sums in its parallel form and not while decoding; here compute: 'parallel' does so always, which keeps every key, and 'recurrent' never. Files say which by forward_impl.",
    ],
    claim:
      'Character model of the novel: a lower loss than linear attention without decay; decoding takes the same time and bytes at any length, where softmax attention grows.',
  },
  config: defaults,
  tiny,
  recipe: { lr: 3e-3, weightDecay: 0.1, groups: [vectors] },
  build,
  checkpoint,
}

/** Small configurations of what `tiny` does not reach, by name, for the laws. */
export const moreTiny: Readonly<Record<string, RetNetConfig>> = /* @__PURE__ */ ifUsed(() => ({
  torchscale: {
    ...tiny,
    form: 'torchscale',
    torchscale: { ...noTorchscale, valueWidth: 12, scaleEmbeddings: true, embeddingNorm: true },
  },
  'torchscale, rows by scores': {
    ...tiny,
    form: 'torchscale',
    torchscale: { ...noTorchscale, compute: 'parallel', valueWidth: 12, gated: false, innerNorm: 'layer' },
    tieEmbeddings: false,
  },
  'torchscale, deep': {
    ...tiny,
    form: 'torchscale',
    torchscale: {
      ...noTorchscale,
      valueWidth: 8,
      decays: 'even',
      gated: false,
      activation: 'swish',
      innerNorm: 'rms',
      postNorm: true,
      deepNorm: true,
    },
  },
}))

export default paper
