import { SoftmaxAttention } from '@mneme/attention/softmax-attention'
import { FeedForward, type LanguageModel, LayerNorm, type Paper, withDefaults } from '@mneme/core-tensor'
import { MemoryPrefix } from '@mneme/memory/memory-prefix'
import { ReservoirMemory } from '@mneme/recurrent/reservoir'
import { type DecoderConfig, decoder } from './decoder.js'
import { vectors } from './recipes.js'

export interface ResformerReservoirConfig extends DecoderConfig {
  readonly nHeads: number
  /** Inner width of the feed-forward. */
  readonly dInner: number
  /** Tokens that attention sees. */
  readonly segment: number
  /** Units of the reservoir. */
  readonly dReservoir: number
  /** Inner width of its readout. */
  readonly dReadout: number
  /** Part of a unit that is new after a token. */
  readonly leak: number
  /** Below 1 the reservoir forgets where it started. */
  readonly spectralRadius: number
  /** Part of the recurrent weights that is not 0. */
  readonly density: number
  /** Bound of the uniform input weights. */
  readonly inputScale: number
  /** Whether the embedding learns through the fixed reservoir too; false leaves that to the readout alone. */
  readonly backprop: boolean
  readonly normEps: number
}

function build(config: ResformerReservoirConfig): LanguageModel {
  const { dModel, nHeads, dInner, normEps, segment } = config
  const dHead = dModel / nHeads
  const rotary = { dims: dHead, base: 10000, layout: 'half' } as const
  return decoder(config, {
    embeddingStd: 1,
    norm: new LayerNorm(dModel, normEps),
    layer: (_, rng) => ({
      mixerNorm: new LayerNorm(dModel, normEps),
      mixer: new SoftmaxAttention({ dModel, nHeads, nKvHeads: nHeads, dHead, window: 0, rotary }, rng),
      mlpNorm: new LayerNorm(dModel, normEps),
      mlp: new FeedForward(dModel, dInner, rng),
    }),
    around: (layers, rng) => new MemoryPrefix(new ReservoirMemory(config, rng), layers, { dModel, segment }),
  })
}

const defaults: ResformerReservoirConfig = {
  vocabulary: 256,
  dModel: 64,
  nLayers: 2,
  nHeads: 4,
  dInner: 128,
  segment: 64,
  dReservoir: 256,
  dReadout: 128,
  leak: 0.3,
  spectralRadius: 0.9,
  density: 0.1,
  inputScale: 0.5,
  backprop: true,
  normEps: 1e-5,
  tieEmbeddings: true,
  seed: 0,
}

/**
 * A reservoir before a transformer of fixed length: Liu and Xu 2025, arXiv:2509.24074. `config` is laid over the
 * defaults.
 *
 * @throws RangeError for a key that does not exist
 */
export function resformerReservoir(config: Partial<ResformerReservoirConfig> = {}): LanguageModel {
  return build(withDefaults('resformerReservoir', defaults, config))
}

const paper: Paper<ResformerReservoirConfig, LanguageModel> = {
  card: {
    key: 'resformer-reservoir',
    title: 'ResFormer: All-Time Reservoir Memory for Long Sequence Classification',
    authors: 'Liu, Xu',
    year: 2025,
    arxiv: '2509.24074',
    kind: 'language model',
    family: 'memory',
    equation:
      'r_t = (1 - a) r_{t-1} + a \\tanh(W_{in} x_t + W_{res} r_{t-1} + b), \\quad m_t = W_2\\, g(W_1 \\mathrm{LN}(r_t)), \\quad Y_s = f([m_{sL}; X_s])',
    state: 'r, R values, and what one segment of attention needs',
    cost: 'O(R² + R D + D² + L D)',
    differs: [
      'How memory and transformer join is not published in full: the readout stands as one token, marked by a learned vector, in front of each segment.',
      'Segments have a fixed length and attention is causal with rotary positions, so that it streams; a class is read off the last token.',
      'Gradients pass through the fixed reservoir to the embedding; `backprop: false` cuts them, as in the paper.',
      'One reservoir with a readout of two layers.',
    ],
    claim:
      'A class that depends on a cue seen 50 to 2,000 tokens earlier: accuracy above the same transformer without the reservoir.',
  },
  config: defaults,
  tiny: {
    vocabulary: 13,
    dModel: 8,
    nLayers: 1,
    nHeads: 2,
    dInner: 8,
    segment: 4,
    dReservoir: 10,
    dReadout: 6,
    leak: 0.4,
    spectralRadius: 0.9,
    density: 0.5,
    inputScale: 0.5,
    backprop: true,
    normEps: 1e-5,
    tieEmbeddings: false,
    seed: 0,
  },
  recipe: { lr: 2e-3, weightDecay: 0.01, groups: [vectors] },
  build,
}

export default paper
