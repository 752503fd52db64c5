import {
  type CheckpointLayout,
  gelu,
  type LanguageModel,
  LayerNorm,
  type LayerParts,
  normalInit,
  type Paper,
  RMSNorm,
  type Rng,
  SwiGLU,
  withDefaults,
} from '@mneme/core-tensor'
import { MLSTM } from '@mneme/recurrent/mlstm'
import { MlstmBlock } from '@mneme/recurrent/mlstm-block'
import { SLSTM } from '@mneme/recurrent/slstm'
import { type DecoderConfig, decoder } from './decoder.js'
import { ifUsed } from './if-used.js'
import { vectors } from './recipes.js'
import { from7B, namesOf7B, to7B } from './xlstm-layout-7b.js'
import { fromBlocks, namesOfBlocks, noBlocks, toBlocks } from './xlstm-layout-blocks.js'

export interface XlstmConfig extends DecoderConfig {
  /** The block of the 7B model, or those of the first paper: xLSTM[a:b]. */
  readonly form: '7B' | 'blocks'
  readonly nHeads: number
  /** Widths of keys and of values, all heads together, over dModel. */
  readonly expandK: number
  readonly expandV: number
  /** Inner width of the gated feed-forward; in 'blocks' that behind an sLSTM, 0 for none. */
  readonly dInner: number
  /** Soft bounds of the gates' pre-activations and of the scores. */
  readonly gateCap: number
  readonly scoreCap: number
  /** What the bias of the input gate starts at. */
  readonly inputGateBias: number
  readonly eps: number
  readonly normEps: number
  readonly chunk: number
  /** Deviation of the initial linear maps; null for that of the paper. */
  readonly initStd: number | null
  /** Whether a file keeps q, k, v and o, both gates, and both maps of the feed-forward in one tensor each. */
  readonly fused: boolean
  /** What only 'blocks' has. */
  readonly blocks: {
    /** Layers of scalar memory, counted from 0, and their heads; the others have a matrix memory. */
    readonly slstmAt: readonly number[]
    readonly slstmHeads: number
    readonly slstmConvWidth: number
    /** Width that a layer of matrix memory projects up to. */
    readonly dMemory: number
    readonly convWidth: number
    /** Channels of a block of the maps to queries, keys and values. */
    readonly mapBlock: number
    /** Whether linear maps of matrix memories, and those of feed-forwards, have biases. */
    readonly bias: boolean
    readonly mlpBias: boolean
    readonly finalNorm: boolean
  }
}

function build(config: XlstmConfig): LanguageModel {
  if (config.form === 'blocks') return buildBlocks(config)
  const { dModel, dInner, normEps, scoreCap } = config
  const std = config.initStd ?? Math.sqrt(2 / (5 * dModel))
  const projection = { bias: false, init: normalInit(std) }
  return decoder(config, {
    embeddingStd: std,
    headStd: std,
    scoreCap,
    norm: new RMSNorm(dModel, normEps),
    layer: (_, rng) => ({
      mixerNorm: new RMSNorm(dModel, normEps),
      mixer: new MLSTM({ ...config, projection }, rng),
      mlpNorm: new RMSNorm(dModel, normEps),
      mlp: new SwiGLU(dModel, dInner, rng, projection),
    }),
  })
}

function buildBlocks(config: XlstmConfig): LanguageModel {
  const { dModel, nLayers, dInner, normEps, initStd, blocks } = config
  const std = initStd ?? Math.sqrt(2 / (5 * dModel))
  const outInit = normalInit(initStd ?? 2 / (nLayers * Math.sqrt(dModel)))
  const norm = (): LayerNorm => new LayerNorm(dModel, normEps, { bias: false, offset: 1 })
  const scalar = (layer: number, rng: Rng): LayerParts => ({
    mixerNorm: norm(),
    mixer: new SLSTM(
      {
        ...config,
        nHeads: blocks.slstmHeads,
        convWidth: blocks.slstmConvWidth,
        depth: nLayers === 1 ? 0 : layer / (nLayers - 1),
        normOffset: 1,
      },
      rng,
    ),
    ...(dInner > 0 && {
      mlpNorm: norm(),
      mlp: new SwiGLU(dModel, dInner, rng, { bias: blocks.mlpBias, init: normalInit(std) }, gelu),
    }),
  })
  const matrix = (rng: Rng): LayerParts => ({
    mixerNorm: norm(),
    mixer: new MlstmBlock({ ...config, ...blocks, dInner: blocks.dMemory, normOffset: 1, outInit }, rng),
  })
  return decoder(config, {
    embeddingStd: std,
    headStd: std,
    norm: blocks.finalNorm ? norm() : null,
    layer: (layer, rng) => (blocks.slstmAt.includes(layer) ? scalar(layer, rng) : matrix(rng)),
  })
}

const checkpoint: CheckpointLayout<XlstmConfig> = {
  modelTypes: ['xlstm', 'xLSTMLMModel'],
  repositories: ['NX-AI/xlstm'],
  config: (published) => (published.model_type === undefined ? fromBlocks(published) : from7B(published)),
  publish: (config) => (config.form === 'blocks' ? toBlocks(config) : to7B(config)),
  names: (config) => (config.form === 'blocks' ? namesOfBlocks(config) : namesOf7B(config)),
}

const defaults: XlstmConfig = /* @__PURE__ */ ifUsed(() => ({
  vocabulary: 256,
  dModel: 64,
  nLayers: 2,
  form: '7B',
  nHeads: 2,
  expandK: 0.5,
  expandV: 1,
  dInner: 176,
  gateCap: 15,
  scoreCap: 30,
  inputGateBias: -10,
  eps: 1e-6,
  normEps: 1e-6,
  chunk: 64,
  initStd: null,
  fused: false,
  blocks: { ...noBlocks, slstmAt: [1], dMemory: 128 },
  tieEmbeddings: false,
  seed: 0,
}))

const tiny: XlstmConfig = {
  vocabulary: 13,
  dModel: 8,
  nLayers: 2,
  form: '7B',
  nHeads: 2,
  expandK: 0.5,
  expandV: 1,
  dInner: 8,
  gateCap: 15,
  scoreCap: 30,
  inputGateBias: -1,
  eps: 1e-6,
  normEps: 1e-6,
  chunk: 4,
  initStd: 0.4,
  fused: true,
  blocks: noBlocks,
  tieEmbeddings: false,
  seed: 0,
}

/**
 * xLSTM: Beck et al. 2024, arXiv:2405.04517, and xLSTM 7B: Beck et al. 2025, arXiv:2503.13427. `config` is laid over
 * the defaults.
 *
 * @throws RangeError for a key that does not exist
 */
export function xlstm(config: Partial<XlstmConfig> = {}): LanguageModel {
  return build(withDefaults('xlstm', defaults, config))
}

const paper: Paper<XlstmConfig, LanguageModel> = {
  card: {
    key: 'xlstm',
    title: 'xLSTM 7B: A Recurrent LLM for Fast and Efficient Inference',
    authors: 'Beck, Pöppel, Lippe, Kurle, Blies, Klambauer, Böck, Hochreiter',
    year: 2025,
    arxiv: '2503.13427',
    kind: 'language model',
    family: 'recurrent',
    equation:
      'C_t = \\sigma(f_t) C_{t-1} + e^{i_t} k_t v_t^\\top, \\quad n_t = \\sigma(f_t) n_{t-1} + e^{i_t} k_t, \\quad h_t = \\frac{C_t^\\top q_t}{\\max(|n_t^\\top q_t|, 1)}',
    state: 'C, n and m: H K V + H K + H values a layer',
    cost: 'O(D² + H K V)',
    differs: [
      "form: 'blocks' is xLSTM[a:b] of the first paper (arXiv:2405.04517), its blocks as NX-AI/xlstm has them; blocks.slstmAt says which layers are sLSTM.",
      "Weights that the authors' CUDA kernel of sLSTM has saved are refused: they lie in another order. Save with the vanilla backend.",
      "Every linear map starts with the embedding's deviation; the paper starts the last map of each part smaller, by depth.",
      'Published files with biases beside those of the gates are refused.',
    ],
    claim:
      'Character model of the novel against a transformer of as many parameters; decoding takes the same time and bytes at any length.',
  },
  config: defaults,
  tiny,
  recipe: {
    lr: 3e-3,
    weightDecay: 0.1,
    groups: [vectors, { match: /\.(skip|[qkv]Bias)$/, weightDecay: 0 }],
  },
  build,
  checkpoint,
}

/** Small configurations of what `tiny` does not reach, by name, for the laws. */
export const moreTiny: Readonly<Record<string, XlstmConfig>> = /* @__PURE__ */ ifUsed(() => ({
  blocks: {
    ...tiny,
    form: 'blocks',
    nLayers: 2,
    fused: false,
    blocks: { ...noBlocks, slstmAt: [1], slstmHeads: 4, slstmConvWidth: 2, dMemory: 8, bias: true, mlpBias: true },
  },
  'blocks, sLSTM alone': {
    ...tiny,
    form: 'blocks',
    nLayers: 1,
    dInner: 0,
    fused: false,
    blocks: { ...noBlocks, slstmAt: [0], finalNorm: false },
    tieEmbeddings: true,
  },
}))

export default paper
