import { SoftmaxAttention } from '@mneme/attention/softmax-attention'
import {
  constant,
  geluTanh,
  type LanguageModel,
  type LinearOptions,
  normalInit,
  type Paper,
  RMSNorm,
  type Rng,
  type SequenceMixer,
  SwiGLU,
  withDefaults,
} from '@mneme/core-tensor'
import { RgLruBlock } from '@mneme/recurrent/rg-lru-block'
import { type DecoderConfig, decoder } from './decoder.js'
import { checkpoint } from './griffin-checkpoint.js'
import { ifUsed } from './if-used.js'
import { vectors } from './recipes.js'

export interface GriffinConfig extends DecoderConfig {
  /** What mixes time in each layer, over and over; Hawk is 'recurrent' alone. */
  readonly pattern: readonly ('recurrent' | 'attention')[]
  /** Heads of the attention, and blocks of the recurrence's gates. */
  readonly nHeads: number
  readonly nKvHeads: number
  readonly dHead: number
  /** Keys seen, the query's own included. */
  readonly window: number
  /** Share of a head that rotary positions turn. */
  readonly rotaryShare: number
  readonly ropeBase: number
  readonly attentionBias: boolean
  /** Width of the recurrence, and taps of the convolution in front of it. */
  readonly dRecurrent: number
  readonly convWidth: number
  /** Inner width of the gated feed-forward. */
  readonly dInner: number
  readonly normEps: number
  /** Whether embedded tokens are multiplied by sqrt(D), as bfloat16 rounds it. */
  readonly scaleEmbeddings: boolean
  /** Soft bound of the scores; 0 for none. */
  readonly scoreCap: number
  /** The token of padding, whose row lookups do not teach. */
  readonly paddingId: number | null
  /** Whose names a file has. */
  readonly layout: 'deepmind' | 'huggingface'
}

function build(config: GriffinConfig): LanguageModel {
  const { dModel, dInner, normEps, scoreCap, pattern } = config
  if (pattern.length === 0) throw new RangeError('griffin pattern: expected at least one kind of layer, got none.')
  const norm = (): RMSNorm => new RMSNorm(dModel, normEps, 1, 1)
  const inward = normalInit(dModel ** -0.5)
  return decoder(config, {
    embeddingStd: dModel ** -0.5,
    headStd: dModel ** -0.5,
    embeddingScale: config.scaleEmbeddings ? bfloat16(Math.sqrt(dModel)) : 1,
    unlearned: config.paddingId,
    ...(scoreCap > 0 && { scoreCap }),
    norm: norm(),
    layer: (layer, rng) => ({
      mixerNorm: norm(),
      mixer: mixer(config, layer, rng),
      mlpNorm: norm(),
      mlp: new SwiGLU(dModel, dInner, rng, { init: inward, biasInit: zero }, geluTanh),
    }),
  })
}

function mixer(config: GriffinConfig, layer: number, rng: Rng): SequenceMixer {
  const { dModel, nHeads, nLayers, dHead, rotaryShare, ropeBase: base, dRecurrent, pattern } = config
  /** The last map of a part starts smaller the deeper the model is. */
  const last = (fanIn: number): LinearOptions => ({ init: normalInit(Math.sqrt(2 / (nLayers * fanIn))) })
  if (pattern[layer % pattern.length] === 'recurrent') {
    return new RgLruBlock({ ...config, dInner: dRecurrent, outInit: last(dRecurrent).init }, rng)
  }
  const dims = Math.trunc(dHead * rotaryShare)
  const rotary = dims > 0 ? { dims, base, layout: 'half' as const } : null
  const projection = { bias: config.attentionBias, init: normalInit(dModel ** -0.5) }
  const outProjection = { ...last(nHeads * dHead), biasInit: zero }
  return new SoftmaxAttention({ ...config, rotary, projection, outProjection }, rng)
}

const zero: NonNullable<LinearOptions['biasInit']> = (_, shape) => constant(shape, 0)

/** The nearest number of 8 significant bits, halves to even. */
function bfloat16(x: number): number {
  const [bits] = new Uint32Array(Float32Array.of(x).buffer) as unknown as [number]
  const rounded = (bits + 0x7fff + ((bits >>> 16) & 1)) & 0xffff0000
  return new Float32Array(Uint32Array.of(rounded >>> 0).buffer)[0] as number
}

const defaults: GriffinConfig = {
  vocabulary: 256,
  dModel: 64,
  nLayers: 3,
  pattern: ['recurrent', 'recurrent', 'attention'],
  nHeads: 4,
  nKvHeads: 1,
  dHead: 16,
  window: 65,
  rotaryShare: 0.5,
  ropeBase: 10000,
  attentionBias: false,
  dRecurrent: 64,
  convWidth: 4,
  dInner: 192,
  normEps: 1e-6,
  scaleEmbeddings: false,
  scoreCap: 0,
  paddingId: null,
  layout: 'deepmind',
  tieEmbeddings: true,
  seed: 0,
}

const tiny: GriffinConfig = {
  vocabulary: 13,
  dModel: 8,
  nLayers: 3,
  pattern: ['recurrent', 'attention'],
  nHeads: 2,
  nKvHeads: 1,
  dHead: 4,
  window: 6,
  rotaryShare: 0.5,
  ropeBase: 10000,
  attentionBias: false,
  dRecurrent: 6,
  convWidth: 4,
  dInner: 8,
  normEps: 1e-6,
  scaleEmbeddings: true,
  scoreCap: 5,
  paddingId: null,
  layout: 'deepmind',
  tieEmbeddings: true,
  seed: 0,
}

/**
 * Griffin and Hawk: De et al. 2024, arXiv:2402.19427. `config` is laid over the defaults.
 *
 * @throws RangeError for a key that does not exist
 */
export function griffin(config: Partial<GriffinConfig> = {}): LanguageModel {
  return build(withDefaults('griffin', defaults, config))
}

const paper: Paper<GriffinConfig, LanguageModel> = {
  card: {
    key: 'griffin',
    title: 'Griffin: Mixing Gated Linear Recurrences with Local Attention for Efficient Language Models',
    authors: 'De, Smith, Fernando, Botev and others',
    year: 2024,
    arxiv: '2402.19427',
    kind: 'language model',
    family: 'recurrent',
    equation:
      'h_t = a_t \\odot h_{t-1} + \\sqrt{1 - a_t^2} \\odot (i_t \\odot x_t), \\quad \\ln a_t = -8 \\, r_t \\, \\mathrm{softplus}(\\Lambda)',
    state: 'h and a tail of inputs, E W + 1 values a recurrent layer; a window of keys and values an attention layer',
    cost: 'O(D E + E²/H), and O(D² + window H K) in attention layers',
    differs: [
      "Where the paper's text and the authors' code disagree on how decays start, as in the code.",
      'The last map of the feed-forward starts as its others; the paper starts it smaller, by depth.',
      'window counts the query itself: one more than the number in files of google-deepmind, that very number in files of transformers, whose parallel form applies no window at all.',
      'A reset cuts recurrence, convolution and attention; transformers cuts the recurrence only, google-deepmind all three except while decoding from a cache.',
    ],
    claim:
      'Character model of the novel trained at T = 256 and read at T = 1024: attention without a window gets worse, Griffin and Hawk do not.',
  },
  config: defaults,
  tiny,
  recipe: {
    lr: 3e-3,
    weightDecay: 0.1,
    groups: [vectors, { match: /\.(lambda|\w+GateBias)$/, weightDecay: 0 }],
  },
  build,
  checkpoint,
}

/** Small configurations of what `tiny` does not reach, by name, for the laws. */
export const moreTiny: Readonly<Record<string, GriffinConfig>> = /* @__PURE__ */ ifUsed(() => ({
  'names of transformers': {
    ...tiny,
    pattern: ['attention', 'recurrent'],
    nLayers: 2,
    nKvHeads: 2,
    attentionBias: true,
    layout: 'huggingface',
    tieEmbeddings: false,
  },
  Hawk: { ...tiny, pattern: ['recurrent'], scaleEmbeddings: false, scoreCap: 0 },
}))

export default paper
