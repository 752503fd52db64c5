import {
  type CheckpointLayout,
  type LanguageModel,
  normalInit,
  type Paper,
  RMSNorm,
  withDefaults,
} from '@mneme/core-tensor'
import { Mamba } from '@mneme/recurrent/mamba'
import { type DecoderConfig, decoder } from './decoder.js'
import { inMixer, type MambaShared, readShared, sharedNames, writeShared } from './mamba-layout.js'
import { flagOf, numberOf } from './published.js'
import { vectors } from './recipes.js'

export interface MambaConfig extends DecoderConfig, MambaShared {
  /** Channels of the scan. */
  readonly dInner: number
  /** Rank of what decides the step size. */
  readonly dtRank: number
}

function build(config: MambaConfig): LanguageModel {
  const { dModel, normEps, initStd, bias } = config
  const projection = { bias, init: normalInit(initStd) }
  return decoder(config, {
    embeddingStd: initStd,
    headStd: initStd,
    norm: new RMSNorm(dModel, normEps),
    layer: (_, rng) => ({
      mixerNorm: new RMSNorm(dModel, normEps),
      mixer: new Mamba({ ...config, projection }, rng),
    }),
  })
}

const checkpoint: CheckpointLayout<MambaConfig> = {
  modelTypes: ['mamba'],
  config(published) {
    const shared = readShared(published)
    const { dModel } = shared
    const rank = published.time_step_rank ?? 'auto'
    return {
      ...shared,
      dInner: numberOf(published, 'intermediate_size', dModel * numberOf(published, 'expand', 2)),
      dtRank: rank === 'auto' ? Math.ceil(dModel / 16) : numberOf(published, 'time_step_rank'),
      tieEmbeddings: flagOf(published, 'tie_word_embeddings', true),
      seed: 0,
    }
  },
  publish: (config) => ({
    model_type: 'mamba',
    architectures: ['MambaForCausalLM'],
    ...writeShared(config),
    expand: config.dInner / config.dModel,
    intermediate_size: config.dInner,
    time_step_rank: config.dtRank,
    tie_word_embeddings: config.tieEmbeddings,
  }),
  names: () => [
    ...sharedNames,
    inMixer('xProj.weight', 'x_proj.weight'),
    inMixer('dtProj.weight', 'dt_proj.weight'),
    inMixer('dtProj.bias', 'dt_proj.bias'),
  ],
}

const defaults: MambaConfig = {
  vocabulary: 256,
  dModel: 64,
  nLayers: 2,
  dInner: 128,
  dState: 16,
  dtRank: 4,
  convWidth: 4,
  convBias: true,
  bias: false,
  normEps: 1e-5,
  initStd: 0.02,
  tieEmbeddings: true,
  seed: 0,
}

/**
 * Mamba: Gu and Dao 2023, arXiv:2312.00752. `config` is laid over the defaults.
 *
 * @throws RangeError for a key that does not exist
 */
export function mamba(config: Partial<MambaConfig> = {}): LanguageModel {
  return build(withDefaults('mamba', defaults, config))
}

const paper: Paper<MambaConfig, LanguageModel> = {
  card: {
    key: 'mamba',
    title: 'Mamba: Linear-Time Sequence Modeling with Selective State Spaces',
    authors: 'Gu, Dao',
    year: 2023,
    arxiv: '2312.00752',
    kind: 'language model',
    family: 'recurrent',
    equation: 'h_t = e^{\\Delta_t A} h_{t-1} + \\Delta_t B_t x_t, \\quad y_t = C_t^\\top h_t + D x_t',
    state: 'h, N values for each of E channels in each layer, and a convolution tail',
    cost: 'O(D E + E N)',
    differs: [
      "Maps into the residual stream start like the others; the authors' code scales them down by the square root of the depth.",
    ],
    claim:
      'Selective copying and induction heads: a selective scan solves both beyond the trained length, where fixed transitions (S4D) stay near chance on the first.',
  },
  config: defaults,
  tiny: {
    vocabulary: 13,
    dModel: 6,
    nLayers: 2,
    dInner: 8,
    dState: 3,
    dtRank: 2,
    convWidth: 3,
    convBias: true,
    bias: true,
    normEps: 1e-5,
    initStd: 0.4,
    tieEmbeddings: false,
    seed: 0,
  },
  recipe: {
    lr: 4e-3,
    weightDecay: 0.1,
    groups: [vectors, { match: /\.(logA|skip)$/, weightDecay: 0 }],
  },
  build,
  checkpoint,
}

export default paper
