import {
  type CheckpointLayout,
  type LanguageModel,
  normalInit,
  type Paper,
  RMSNorm,
  withDefaults,
} from '@mneme/core-tensor'
import { Mamba2 } from '@mneme/recurrent/mamba2'
import { type DecoderConfig, decoder } from './decoder.js'
import { inMixer, type MambaShared, readShared, sharedNames, writeShared } from './mamba-layout.js'
import { flagOf, numberOf, type PublishedConfig } from './published.js'
import { vectors } from './recipes.js'

export interface Mamba2Config extends DecoderConfig, MambaShared {
  readonly nHeads: number
  readonly dHead: number
  /** Groups of heads that share B and C. */
  readonly nGroups: number
  /** Bounds of the step size; null for no upper one. */
  readonly stepMin: number
  readonly stepMax: number | null
  readonly chunk: number
}

function build(config: Mamba2Config): LanguageModel {
  const { dModel, normEps, initStd, bias, stepMin, stepMax } = config
  const projection = { bias, init: normalInit(initStd) }
  const stepLimit = [stepMin, stepMax ?? Number.POSITIVE_INFINITY] as const
  return decoder(config, {
    embeddingStd: initStd,
    headStd: initStd,
    norm: new RMSNorm(dModel, normEps),
    layer: (_, rng) => ({
      mixerNorm: new RMSNorm(dModel, normEps),
      mixer: new Mamba2({ ...config, stepLimit, normGroups: 1, projection }, rng),
    }),
  })
}

/** `time_step_limit`, whose upper end Python writes as a bare Infinity. */
function stepLimit(published: PublishedConfig): readonly [number, number | null] {
  const [low, high] = (published.time_step_limit ?? [0, Number.POSITIVE_INFINITY]) as readonly unknown[]
  if (typeof low === 'number' && typeof high === 'number') return [low, Number.isFinite(high) ? high : null]
  throw new TypeError(
    `config.json time_step_limit: expected two numbers, got ${JSON.stringify(published.time_step_limit)}.`,
  )
}

const checkpoint: CheckpointLayout<Mamba2Config> = {
  modelTypes: ['mamba2'],
  config(published) {
    const [stepMin, stepMax] = stepLimit(published)
    return {
      ...readShared(published),
      nHeads: numberOf(published, 'num_heads'),
      dHead: numberOf(published, 'head_dim', 64),
      nGroups: numberOf(published, 'n_groups', 1),
      stepMin,
      stepMax,
      chunk: numberOf(published, 'chunk_size', 256),
      tieEmbeddings: flagOf(published, 'tie_word_embeddings', false),
      seed: 0,
    }
  },
  publish: (config) => ({
    model_type: 'mamba2',
    architectures: ['Mamba2ForCausalLM'],
    ...writeShared(config),
    expand: (config.nHeads * config.dHead) / config.dModel,
    num_heads: config.nHeads,
    head_dim: config.dHead,
    n_groups: config.nGroups,
    time_step_limit: [config.stepMin, config.stepMax ?? Number.POSITIVE_INFINITY],
    chunk_size: config.chunk,
    rms_norm: true,
    tie_word_embeddings: config.tieEmbeddings,
  }),
  names: () => [...sharedNames, inMixer('stepBias', 'dt_bias'), inMixer('norm.weight', 'norm.weight')],
}

const defaults: Mamba2Config = {
  vocabulary: 256,
  dModel: 64,
  nLayers: 2,
  nHeads: 4,
  dHead: 32,
  dState: 32,
  nGroups: 1,
  convWidth: 4,
  convBias: true,
  bias: false,
  stepMin: 0,
  stepMax: null,
  normEps: 1e-5,
  chunk: 64,
  initStd: 0.02,
  tieEmbeddings: true,
  seed: 0,
}

/**
 * Mamba-2: Dao and Gu 2024, arXiv:2405.21060. `config` is laid over the defaults.
 *
 * @throws RangeError for a key that does not exist
 */
export function mamba2(config: Partial<Mamba2Config> = {}): LanguageModel {
  return build(withDefaults('mamba2', defaults, config))
}

const paper: Paper<Mamba2Config, LanguageModel> = {
  card: {
    key: 'mamba2',
    title: 'Transformers are SSMs: Generalized Models and Efficient Algorithms Through Structured State Space Duality',
    authors: 'Dao, Gu',
    year: 2024,
    arxiv: '2405.21060',
    kind: 'language model',
    family: 'recurrent',
    equation: 'H_t = e^{\\Delta_t a} H_{t-1} + \\Delta_t B_t x_t^\\top, \\quad y_t = H_t^\\top C_t + D x_t',
    state: 'H, N values for each of H P channels in each layer, and a convolution tail',
    cost: 'O(D² + H P N)',
    differs: [
      "The norm of the readout runs over all heads together, as transformers has it. Maps into the residual stream start like the others; the authors' code scales them down by the square root of the depth.",
    ],
    claim: 'MQAR at D = 64: recall rises with N, and above that of Mamba at an equal number of state bytes.',
  },
  config: defaults,
  tiny: {
    vocabulary: 13,
    dModel: 6,
    nLayers: 2,
    nHeads: 4,
    dHead: 3,
    dState: 3,
    nGroups: 2,
    convWidth: 3,
    convBias: true,
    bias: true,
    stepMin: 0,
    stepMax: null,
    normEps: 1e-5,
    chunk: 4,
    initStd: 0.4,
    tieEmbeddings: false,
    seed: 0,
  },
  recipe: {
    lr: 4e-3,
    weightDecay: 0.1,
    groups: [vectors, { match: /\.(logA|skip|stepBias)$/, weightDecay: 0 }],
  },
  build,
  checkpoint,
}

export default paper
