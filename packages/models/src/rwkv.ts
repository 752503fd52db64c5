import {
  type LanguageModel,
  LayerNorm,
  type LinearOptions,
  normalInit,
  type Paper,
  type Rng,
  type SequenceMixer,
  withDefaults,
} from '@mneme/core-tensor'
import { RwkvChannelMix } from '@mneme/recurrent/rwkv-channel-mix'
import type { RwkvDepth } from '@mneme/recurrent/rwkv-shift'
import { Rwkv4TimeMix } from '@mneme/recurrent/rwkv4'
import { Rwkv6TimeMix } from '@mneme/recurrent/rwkv6'
import { Rwkv7TimeMix } from '@mneme/recurrent/rwkv7'
import { type DecoderConfig, decoder } from './decoder.js'
import { ifUsed } from './if-used.js'
import { vectors } from './recipes.js'
import { checkpoint } from './rwkv-checkpoint.js'

export interface RwkvConfig extends DecoderConfig {
  /** 4 of the paper, averages channel by channel; 6 (Finch), a matrix for each head; 7 (Goose), a delta rule. */
  readonly version: 4 | 6 | 7
  /** Width of keys and receptance of the time mixing; in version 4 of values as well. */
  readonly dAttention: number
  /** What versions 6 and 7 have: heads, and the ranks of what decides decays; 6 that of blends, 7 those of the rest. */
  readonly nHeads: number
  readonly decayRank: number
  readonly shiftRank: number
  readonly rateRank: number
  readonly residualRank: number
  readonly gateRank: number
  /** Inner width of the channel mixing. */
  readonly dInner: number
  readonly normEps: number
  /** Deviation of the initial linear maps; null for PyTorch's uniform. */
  readonly initStd: number | null
}

function timeMix(
  config: RwkvConfig,
  depth: RwkvDepth & { readonly projection: LinearOptions },
  rng: Rng,
): SequenceMixer {
  const { version, dModel, dAttention } = config
  if (version === 4) return new Rwkv4TimeMix({ ...depth, dModel, dInner: dAttention }, rng)
  if (version === 6) return new Rwkv6TimeMix({ ...config, ...depth, expandK: dAttention / dModel, chunk: 64 }, rng)
  const { decayRank, rateRank, residualRank, gateRank, nHeads, normEps } = config
  const ranks = { w: decayRank, a: rateRank, v: residualRank, g: gateRank }
  // the readout's epsilon is that of the other norms for a head of one channel
  const readout = { normEps: (normEps * dModel) / nHeads, dValue: dModel, chunk: 64 }
  return new Rwkv7TimeMix({ dModel, nHeads, ranks, ...readout, ...depth }, rng)
}

function build(config: RwkvConfig): LanguageModel {
  const { version, dModel, nLayers, dInner, normEps, initStd } = config
  const projection: LinearOptions = { bias: false, ...(initStd !== null && { init: normalInit(initStd) }) }
  const norm = (): LayerNorm => new LayerNorm(dModel, normEps)
  return decoder(config, {
    embeddingStd: initStd ?? 0.02,
    embeddingNorm: norm(),
    norm: norm(),
    layer: (layer, rng: Rng) => {
      const depth = { layer, nLayers, projection }
      const mixOf = version === 4 ? 'current' : 'previous'
      const channelMix = new RwkvChannelMix({ ...depth, dModel, dInner, mixOf, receptance: version !== 7 }, rng)
      return [
        { mixerNorm: norm(), mixer: timeMix(config, depth, rng) },
        { mixerNorm: norm(), mixer: channelMix },
      ]
    },
  })
}

const defaults: RwkvConfig = {
  vocabulary: 256,
  dModel: 64,
  nLayers: 2,
  version: 4,
  dAttention: 64,
  nHeads: 2,
  decayRank: 16,
  shiftRank: 16,
  rateRank: 16,
  residualRank: 16,
  gateRank: 32,
  dInner: 192,
  normEps: 1e-5,
  initStd: null,
  tieEmbeddings: false,
  seed: 0,
}

const tiny: RwkvConfig = {
  vocabulary: 13,
  dModel: 6,
  nLayers: 2,
  version: 4,
  dAttention: 5,
  nHeads: 1,
  decayRank: 2,
  shiftRank: 2,
  rateRank: 2,
  residualRank: 2,
  gateRank: 2,
  dInner: 8,
  normEps: 1e-5,
  initStd: 0.4,
  tieEmbeddings: true,
  seed: 0,
}

/**
 * RWKV: Peng et al. 2023, arXiv:2305.13048. `config` is laid over the defaults.
 *
 * @throws RangeError for a key that does not exist
 */
export function rwkv(config: Partial<RwkvConfig> = {}): LanguageModel {
  return build(withDefaults('rwkv', defaults, config))
}

const paper: Paper<RwkvConfig, LanguageModel> = {
  card: {
    key: 'rwkv',
    title: 'RWKV: Reinventing RNNs for the Transformer Era',
    authors: 'Peng, Alcaide, Anthony and others',
    year: 2023,
    arxiv: '2305.13048',
    kind: 'language model',
    family: 'recurrent',
    equation:
      'o_t = W_o\\left(\\sigma(r_t) \\odot \\frac{\\sum_{i<t} e^{(t-1-i)w + k_i} v_i + e^{u + k_t} v_t}{\\sum_{i<t} e^{(t-1-i)w + k_i} + e^{u + k_t}}\\right)',
    state: 'two last inputs and three sums, 5 D values a layer',
    cost: 'O(D²)',
    differs: [
      'version: 6 is Finch (arXiv:2404.05892) and version: 7 Goose (arXiv:2503.14456), as flash-linear-attention publishes them. Linear maps start as PyTorch draws them, not at zero and orthogonal, and the loss has no term for large logits.',
      'Published weights are taken as they are on disk; halving them every six layers, as the reference does for half precision, changes nothing here.',
    ],
    claim:
      'Character model of the novel against a transformer of as many parameters: an equal or lower loss, and decoding whose time and bytes do not grow.',
  },
  config: defaults,
  tiny,
  recipe: {
    lr: 3e-3,
    weightDecay: 0.01,
    groups: [vectors, { match: /\.(time[A-Z]\w+|shift(Mix|Bias)|bonus|x[rwkvag]|kk|ka|rk)$/, weightDecay: 0 }],
  },
  build,
  checkpoint,
}

/** Small configurations of what `tiny` does not reach, by name, for the laws. */
export const moreTiny: Readonly<Record<string, RwkvConfig>> = /* @__PURE__ */ ifUsed(() => ({
  'version 6': { ...tiny, version: 6, dModel: 8, dAttention: 4, nHeads: 2 },
  'version 7': { ...tiny, version: 7, dModel: 8, dAttention: 8, nHeads: 2 },
}))

export default paper
