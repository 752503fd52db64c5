import {
  type CheckpointLayout,
  type LanguageModel,
  LayerNorm,
  type NameRule,
  type Paper,
  withDefaults,
} from '@mneme/core-tensor'
import { MemoryTokens } from '@mneme/memory/memory-tokens'
import { decoder } from './decoder.js'
import { gpt2Buffers, gpt2Layer, publishGpt2, readGpt2 } from './gpt2.js'
import { ifUsed } from './if-used.js'
import { flagOf, numberOf, oneOf, type PublishedConfig } from './published.js'
import { vectors } from './recipes.js'
import { inSegments, type SegmentedConfig, segmentedNames } from './segmented.js'

export interface RmtConfig extends SegmentedConfig {
  /** As the authors' code has it, where a cut takes no effect: gradients flow through all segments. */
  readonly uncut: boolean
}

function build(config: RmtConfig): LanguageModel {
  const { dModel, normEps, initStd, memoryTokens, ownPositions } = config
  return decoder(config, {
    embeddingStd: initStd,
    headStd: initStd,
    norm: null,
    // memory is what comes out of the last norm
    stack: { outputNorm: new LayerNorm(dModel, normEps) },
    layer: (index, rng) => gpt2Layer(config, index, rng),
    around: (body, rng) => {
      const carry = new MemoryTokens(memoryTokens, dModel, rng, { std: initStd, positions: ownPositions })
      return inSegments({ ...config, backprop: config.uncut ? 0 : config.backprop }, body, carry, rng)
    },
  })
}

const modelType = 'RecurrentWrapper(MemoryCell(GPT2LMHeadModel))'

const checkpoint: CheckpointLayout<RmtConfig> = {
  modelTypes: [modelType],
  config: (published) => ({
    ...readGpt2(published.base as PublishedConfig),
    memoryTokens: numberOf(published, 'num_mem_tokens'),
    segment: numberOf(published, 'segment_size'),
    alignment: oneOf(published, 'segment_alignment', ['left', 'right', 'center'], 'left'),
    ownPositions: flagOf(published, 'wrap_pos', false),
    backprop: Math.max(0, numberOf(published, 'k2', -1)),
    uncut: true,
  }),
  covers: ({ backprop, uncut }) => backprop === 0 || uncut,
  publish: (config) => ({
    reference: `booydar/recurrent-memory-transformer, modeling_rmt/language_modeling.py, ${modelType}`,
    base: publishGpt2(config),
    num_mem_tokens: config.memoryTokens,
    segment_size: config.segment,
    segment_alignment: config.alignment,
    wrap_pos: config.ownPositions,
    k2: config.backprop || -1,
  }),
  names: (config): readonly NameRule[] => {
    const [M, P] = [config.memoryTokens, config.positions]
    const own = [
      { path: 'body.carry.frontPositions', rows: [0, M, P + 2 * M] },
      { path: 'body.positions.weight', rows: [M, M + P, P + 2 * M] },
      { path: 'body.carry.backPositions', rows: [M + P, P + 2 * M, P + 2 * M] },
    ] as const
    return [
      { path: 'body.carry.initial', name: 'memory_cell.memory' },
      ...segmentedNames(config, 'memory_cell.model.', own),
    ]
  },
  ignore: gpt2Buffers,
}

const defaults: RmtConfig = {
  vocabulary: 256,
  dModel: 64,
  nLayers: 2,
  nHeads: 4,
  dInner: 256,
  positions: 64,
  activation: 'gelu_new',
  scaled: true,
  scaledByLayer: false,
  memoryTokens: 4,
  segment: 32,
  alignment: 'left',
  ownPositions: false,
  backprop: 0,
  uncut: false,
  normEps: 1e-5,
  initStd: 0.02,
  tieEmbeddings: true,
  seed: 0,
}

const tiny: RmtConfig = /* @__PURE__ */ ifUsed(() => ({
  ...defaults,
  vocabulary: 13,
  dModel: 6,
  nHeads: 2,
  dInner: 8,
  positions: 9,
  memoryTokens: 2,
  segment: 5,
  initStd: 0.4,
}))

/** Small configurations of what `tiny` does not reach, by name, for the laws. */
export const moreTiny: Readonly<Record<string, RmtConfig>> = /* @__PURE__ */ ifUsed(() => ({
  'the first segment short': { ...tiny, alignment: 'right', tieEmbeddings: false },
  'segments about as long': { ...tiny, alignment: 'center' },
  'positions of its own': { ...tiny, ownPositions: true, positions: 6 },
  'gradients through two segments': { ...tiny, backprop: 2, segment: 4 },
  'no memory tokens': { ...tiny, memoryTokens: 0 },
}))

/**
 * Recurrent memory transformer: Bulatov et al. 2022, arXiv:2207.06881. `config` is laid over the defaults.
 *
 * @throws RangeError for a key that does not exist
 */
export function rmt(config: Partial<RmtConfig> = {}): LanguageModel {
  return build(withDefaults('rmt', defaults, config))
}

const paper: Paper<RmtConfig, LanguageModel> = {
  card: {
    key: 'rmt',
    title: 'Recurrent Memory Transformer',
    authors: 'Bulatov, Kuratov, Burtsev',
    year: 2022,
    arxiv: '2207.06881',
    kind: 'language model',
    family: 'memory',
    equation: '[\\_;\\, Y_s;\\, M_{s+1}] = f([M_s;\\, X_s;\\, M_s])',
    state: 'M memory tokens, M D values, and keys and values of the open segment, 2 (L + M) D values a layer',
    cost: 'O((1 + 2 M / L) (D² + (L + 2 M) D))',
    differs: [
      "The model inside is GPT-2, as in the authors' published wrapper; the paper's figures are from Transformer-XL, whose cache of the segment before is not here.",
      'The mask is causal over memory and segment alike, as in the wrapper; in the paper the tokens of each copy of the memory see each other both ways.',
      'Gradients are cut behind every `backprop` segments, counted from the first, so that a stream has no last segment to count from. In the wrapper a cut takes no effect; `uncut` is that, and published weights load with it.',
      'A segment is closed, and the memory written, as soon as it is full.',
      "With alignment 'right' or 'center' the first call decides where segments end.",
      'No dropout.',
    ],
    claim:
      'Copying 24 tokens over 3 to 6 segments, D = 64, 4 layers, the number of segments rising in training: near 100 %, where Transformer-XL with a memory of one segment falls and a model without memory is at chance.',
  },
  config: defaults,
  tiny,
  recipe: {
    lr: 1e-3,
    weightDecay: 0.01,
    groups: [
      vectors,
      { match: /\.positions\.weight$|\.carry\.(initial|frontPositions|backPositions)$/, weightDecay: 0 },
    ],
  },
  build,
  checkpoint,
}

export default paper
