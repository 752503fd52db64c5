import { type LanguageModel, normalInit, type Paper, RMSNorm, SwiGLU, withDefaults } from '@mneme/core-tensor'
import { ArtificialHippocampus } from '@mneme/memory/artificial-hippocampus'
import { DeltaCompressor } from '@mneme/memory/delta-compressor'
import { type DecoderConfig, decoder } from './decoder.js'
import { ifUsed } from './if-used.js'
import { vectors } from './recipes.js'

export interface ArtificialHippocampusConfig extends DecoderConfig {
  readonly nHeads: number
  /** Heads of keys and values, each shared by nHeads / nKvHeads query heads. */
  readonly nKvHeads: number
  readonly dHead: number
  readonly dInner: number
  /** Tokens that attention sees, first ones included. */
  readonly window: number
  /** First tokens, which never leave. */
  readonly sinks: number
  /** Whether the memory decays, as in Gated DeltaNet, or not, as in DeltaNet. */
  readonly decay: boolean
  /** Deviation of the initial matrices that bring in what is remembered; at 0, as published, nothing at first. */
  readonly outputStd: number
  readonly ropeBase: number
  /** Tokens a block of matrix products; changes cost, not results. */
  readonly chunk: number
  readonly normEps: number
  readonly initStd: number
}

/** Of the norm of what is remembered, whatever the model around it. */
const MEMORY_NORM_EPS = 1e-5

function build(config: ArtificialHippocampusConfig): LanguageModel {
  const { dModel, dHead, dInner, ropeBase, normEps, initStd, outputStd } = config
  const projection = { bias: false, init: normalInit(initStd) }
  return decoder(config, {
    embeddingStd: initStd,
    headStd: initStd,
    norm: new RMSNorm(dModel, normEps),
    layer: (_, rng) => {
      const memory = { ...config, normEps: MEMORY_NORM_EPS, outputInit: normalInit(outputStd) }
      const compressor = new DeltaCompressor(memory, rng.fork('memory'))
      const rotary = { dims: dHead, base: ropeBase }
      return {
        mixer: new ArtificialHippocampus(compressor, { ...config, rotary, projection }, rng),
        mixerNorm: new RMSNorm(dModel, normEps),
        mlp: new SwiGLU(dModel, dInner, rng, projection),
        mlpNorm: new RMSNorm(dModel, normEps),
      }
    },
  })
}

const tiny: ArtificialHippocampusConfig = {
  vocabulary: 13,
  dModel: 6,
  nLayers: 2,
  nHeads: 2,
  nKvHeads: 1,
  dHead: 4,
  dInner: 8,
  window: 4,
  sinks: 1,
  decay: true,
  outputStd: 0.4,
  ropeBase: 100,
  chunk: 4,
  normEps: 1e-6,
  initStd: 0.4,
  tieEmbeddings: true,
  seed: 0,
}

/** What `tiny` leaves out. */
export const moreTiny: Readonly<Record<string, ArtificialHippocampusConfig>> = /* @__PURE__ */ ifUsed(() => ({
  'no decay, no first tokens': { ...tiny, decay: false, sinks: 0, nKvHeads: 2, tieEmbeddings: false },
}))

const defaults: ArtificialHippocampusConfig = /* @__PURE__ */ ifUsed(() => ({
  ...tiny,
  vocabulary: 256,
  dModel: 64,
  nHeads: 4,
  nKvHeads: 4,
  dHead: 16,
  dInner: 176,
  window: 32,
  sinks: 4,
  outputStd: 0,
  ropeBase: 10000,
  chunk: 64,
  initStd: 0.02,
}))

/**
 * Artificial hippocampus networks: Fang et al. 2025, arXiv:2510.07318. `config` is laid over the defaults.
 *
 * @throws RangeError for a key that does not exist
 */
export function artificialHippocampus(config: Partial<ArtificialHippocampusConfig> = {}): LanguageModel {
  return build(withDefaults('artificialHippocampus', defaults, config))
}

const paper: Paper<ArtificialHippocampusConfig, LanguageModel> = {
  card: {
    key: 'artificial-hippocampus',
    title: 'Artificial Hippocampus Networks for Efficient Long-Context Modeling',
    authors: 'Fang, Yu, Zhong, Ye, Xiong, Wei',
    year: 2025,
    arxiv: '2510.07318',
    kind: 'language model',
    family: 'memory',
    equation:
      'S_t = \\alpha_j (I - \\beta_j k_j k_j^\\top) S_{t-1} + \\beta_j k_j v_j^\\top, \\; j = t - (W - a), \\quad o_t = \\operatorname{Attn}_W(q_t) + W_o(\\operatorname{norm}(S_t^\\top q_t) \\operatorname{silu}(z_t))',
    state: 'keys and values of W tokens, 2 W G K values a layer; S, H K²; gates of the tokens in the window',
    cost: 'O(D² + (W + K) H K)',
    differs: [
      'A whole model from scratch: attention without biases, and nothing frozen. The paper adds the memory to a trained transformer and trains it alone, by distillation from full attention.',
      'The memory is a delta rule with decay or without; the form in the manner of Mamba-2 is left out, and so are the router and the extra projection of queries, which are off in the paper.',
      'Window and first tokens are fixed; in the paper they are drawn for every batch.',
    ],
    claim:
      'Associative recall at length 128, window 32, 2 layers, D = 64: near full attention, where the window alone is at chance beyond its reach.',
  },
  config: defaults,
  tiny,
  recipe: { lr: 3e-3, weightDecay: 0.1, groups: [vectors] },
  build,
}

export default paper
