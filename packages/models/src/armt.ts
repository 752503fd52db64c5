import {
  type CheckpointLayout,
  type LanguageModel,
  LayerNorm,
  type NameRule,
  normalInit,
  type Paper,
  type SequenceMixer,
  withDefaults,
} from '@mneme/core-tensor'
import { AssociativeLayer, AssociativeLayers, TrailingTokens } from '@mneme/memory/associative-layers'
import { AssociativeMemory } from '@mneme/memory/associative-memory'
import { decoder } from './decoder.js'
import { gpt2Buffers, gpt2Layer, publishGpt2, readGpt2 } from './gpt2.js'
import { ifUsed } from './if-used.js'
import { flagOf, numberOf, oneOf, type PublishedConfig } from './published.js'
import { vectors } from './recipes.js'
import { inSegments, type SegmentedConfig, segmentedNames } from './segmented.js'

export interface ArmtConfig extends SegmentedConfig {
  /** Width of the memories' queries and keys before the feature map. */
  readonly dKey: number
  /** Rolls of the feature map, ν; features are 2 ν dKey. */
  readonly rolls: number
  /** Whether keys that are known already add less to the normaliser. */
  readonly correction: boolean
  /** Deviation of the initial weights of the memories' values; at 0 the model starts as one without memory. */
  readonly valueStd: number
}

function build(config: ArmtConfig): LanguageModel {
  const { dModel, normEps, initStd, memoryTokens, ownPositions } = config
  const memory = { ...config, valueInit: normalInit(config.valueStd) }
  return decoder(config, {
    embeddingStd: initStd,
    headStd: initStd,
    norm: null,
    stack: { outputNorm: new LayerNorm(dModel, normEps) },
    layer: (index, rng) => gpt2Layer(config, index, rng),
    around: (body, rng) => {
      const layers = body.layers.map((layer) => new AssociativeLayer(new AssociativeMemory(memory, rng), layer))
      const carry = new TrailingTokens(memoryTokens, dModel, rng, { std: initStd, positions: ownPositions })
      return inSegments(config, new AssociativeLayers(layers, body.outputNorm) as unknown as SequenceMixer, carry, rng)
    },
  })
}

const modelType = 'AssociativeRecurrentWrapper(AssociativeMemoryCell(GPT2LMHeadModel))'
const inner = 'memory_cell.model.'

const checkpoint: CheckpointLayout<ArmtConfig> = {
  modelTypes: [modelType],
  config: (published) => ({
    ...readGpt2(published.base as PublishedConfig),
    memoryTokens: numberOf(published, 'num_mem_tokens'),
    segment: numberOf(published, 'segment_size'),
    alignment: oneOf(published, 'segment_alignment', ['left', 'right', 'center'], 'left'),
    ownPositions: flagOf(published, 'wrap_pos', true),
    backprop: 0,
    dKey: numberOf(published, 'd_mem'),
    rolls: numberOf(published, 'nu', 3),
    correction: flagOf(published, 'correction', true),
    valueStd: 0,
  }),
  publish: (config) => ({
    reference: `RodkinIvan/associative-recurrent-memory-transformer, modeling_amt/language_modeling.py, ${modelType}`,
    base: publishGpt2(config),
    num_mem_tokens: config.memoryTokens,
    d_mem: config.dKey,
    nu: config.rolls,
    correction: config.correction,
    segment_size: config.segment,
    segment_alignment: config.alignment,
    wrap_pos: config.ownPositions,
  }),
  names: (config): readonly NameRule[] => {
    const [M, P] = [config.memoryTokens, config.positions]
    const own = [
      { path: 'body.positions.weight', rows: [0, P, P + M] },
      { path: 'body.carry.positions', rows: [P, P + M, P + M] },
    ] as const
    const stack = config.ownPositions ? 'body.inner' : 'body.inner.inner'
    const inMemory = (path: string, name: string): NameRule => ({
      path: `${stack}.layers.{i}.memory.${path}`,
      name: `${inner}transformer.h.{i}.${name}`,
    })
    return [
      { path: 'body.carry.tokens', name: 'memory_cell.memory' },
      ...['q', 'k', 'v', 'b'].map((p) => inMemory(`${p}Proj.weight`, `W_m${p}.weight`)),
      inMemory('bProj.bias', 'W_mb.bias'),
      ...segmentedNames(config, inner, own, '.layer'),
    ]
  },
  ignore: gpt2Buffers,
}

const defaults: ArmtConfig = {
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
  ownPositions: true,
  backprop: 0,
  dKey: 16,
  rolls: 3,
  correction: true,
  valueStd: 0,
  normEps: 1e-5,
  initStd: 0.02,
  tieEmbeddings: true,
  seed: 0,
}

const tiny: ArmtConfig = /* @__PURE__ */ ifUsed(() => ({
  ...defaults,
  vocabulary: 13,
  dModel: 6,
  nHeads: 2,
  dInner: 8,
  positions: 11,
  memoryTokens: 2,
  // the gradients of the laws run over one write: none goes through γ, which is 1 there
  segment: 9,
  dKey: 3,
  valueStd: 0.4,
  initStd: 0.4,
}))

/** Small configurations of what `tiny` does not reach, by name, for the laws. */
export const moreTiny: Readonly<Record<string, ArmtConfig>> = /* @__PURE__ */ ifUsed(() => ({
  'one run of positions, no correction': { ...tiny, ownPositions: false, correction: false, segment: 4, rolls: 1 },
}))

/**
 * Associative recurrent memory transformer: Rodkin et al. 2024, arXiv:2407.04841. `config` is laid over the defaults.
 *
 * @throws RangeError for a key that does not exist
 */
export function armt(config: Partial<ArmtConfig> = {}): LanguageModel {
  return build(withDefaults('armt', defaults, config))
}

const paper: Paper<ArmtConfig, LanguageModel> = {
  card: {
    key: 'armt',
    title: 'Associative Recurrent Memory Transformer',
    authors: 'Rodkin, Kuratov, Bulatov, Burtsev',
    year: 2024,
    arxiv: '2407.04841',
    kind: 'language model',
    family: 'memory',
    equation:
      'x \\leftarrow x + \\frac{\\phi(W_q x)^\\top A}{\\phi(W_q x)^\\top z}, \\quad A \\leftarrow A + \\sum_i \\beta_i \\phi(k_i) (v_i - \\bar v_i)^\\top, \\quad z \\leftarrow z + \\sum_i \\gamma_i \\phi(k_i)',
    state: 'a memory of 2 ν K (D + 1) values a layer, and keys and values of the open segment, 2 L D values a layer',
    cost: 'O((1 + M / L) (D² + (L + M) D) + ν K D)',
    differs: [
      "The model inside is GPT-2; the paper's retrieval experiments have GPT-NeoX.",
      'The memory is written as soon as a segment is full, in generation too, where the authors switch it off.',
      "γ gets no gradient and multiplies keys in the normaliser alone, as in the authors' code.",
      "With alignment 'right' or 'center' the first call decides where segments end.",
      'No sliding window over the segment before, and no dropout.',
    ],
    claim:
      'Associative retrieval with keys of 1 to 2 symbols, D = 64, 2 to 4 layers, one pair a segment, 1 to 20 pairs: ARMT holds more pairs than RMT with 4 memory tokens, and rewritten values come out right.',
  },
  config: defaults,
  tiny,
  recipe: {
    lr: 1e-3,
    weightDecay: 0.001,
    groups: [vectors, { match: /\.positions\.weight$|\.carry\.(tokens|positions)$/, weightDecay: 0 }],
  },
  build,
  checkpoint,
}

export default paper
