import { type Alignment, type LanguageModel, type Paper, type SequenceMixer, withDefaults } from '@mneme/core-tensor'
import { SegmentedEncoder } from '@mneme/memory/segmented-encoder'
import { type BertConfig, bertEncoder } from './bert-encoder.js'
import { ifUsed } from './if-used.js'
import { vectors } from './recipes.js'

export interface Rmt1mConfig extends BertConfig {
  readonly memoryTokens: number
  /** Tokens of a segment, without memory and marks. */
  readonly segment: number
  /** Which segment of a call is short where the length does not go into it: the last, the first, or all a little. */
  readonly alignment: Alignment
  /** Segments that gradients flow back through; 0 for all. */
  readonly backprop: number
}

function build(config: Rmt1mConfig): LanguageModel {
  const { dModel, memoryTokens, segment, alignment, positions, initStd } = config
  const longest = segment + memoryTokens + 3
  if (positions < longest) {
    throw new RangeError(`positions: expected at least ${longest}, for a segment with its memory, got ${positions}.`)
  }
  const backprop = config.backprop || Number.POSITIVE_INFINITY
  const options = { dModel, memoryTokens, length: segment, alignment, backprop, std: initStd }
  return bertEncoder(config, (encoder, rng) => new SegmentedEncoder(options, encoder, rng) as unknown as SequenceMixer)
}

const defaults: Rmt1mConfig = {
  vocabulary: 256,
  dModel: 64,
  nLayers: 2,
  nHeads: 4,
  dInner: 256,
  positions: 128,
  positionType: 'absolute',
  tokenTypes: 1,
  activation: 'gelu',
  padToken: null,
  memoryTokens: 8,
  segment: 64,
  alignment: 'right',
  backprop: 0,
  normEps: 1e-12,
  initStd: 0.02,
  tieEmbeddings: true,
  seed: 0,
}

const tiny: Rmt1mConfig = /* @__PURE__ */ ifUsed(() => ({
  ...defaults,
  vocabulary: 13,
  dModel: 6,
  nHeads: 2,
  dInner: 8,
  positions: 12,
  memoryTokens: 2,
  segment: 7,
  initStd: 0.4,
}))

/** Small configurations of what `tiny` does not reach, by name, for the laws. */
export const moreTiny: Readonly<Record<string, Rmt1mConfig>> = /* @__PURE__ */ ifUsed(() => ({
  'scores by distance, gradients through two segments': { ...tiny, positionType: 'relative_key', backprop: 2 },
}))

/**
 * The encoder form of the recurrent memory transformer: Bulatov et al. 2023, arXiv:2304.11062. `config` is laid over
 * the defaults.
 *
 * @throws RangeError for a key that does not exist
 */
export function rmt1m(config: Partial<Rmt1mConfig> = {}): LanguageModel {
  return build(withDefaults('rmt1m', defaults, config))
}

const paper: Paper<Rmt1mConfig, LanguageModel> = {
  card: {
    key: 'rmt-1m',
    title: 'Scaling Transformer to 1M tokens and beyond with RMT',
    authors: 'Bulatov, Kuratov, Kapushev, Burtsev',
    year: 2023,
    arxiv: '2304.11062',
    kind: 'encoder',
    family: 'memory',
    equation: '[\\_;\\, M_{s+1};\\, \\_;\\, Y_s;\\, \\_] = f([c;\\, M_s;\\, e;\\, X_s;\\, e])',
    state: 'M memory tokens, M D values',
    cost: 'O((1 + M / L) (D² + (L + M) D))',
    differs: [
      'Each token is scored, as in the masked language model of BERT; the authors read a class from the first mark of the last segment.',
      'The marks around a segment are vectors of their own, and the first memory is too; with the authors they are rows of the table of tokens.',
      'A call holds whole segments. Rows of unequal length are run apart, in place of padding and of segments that are empty.',
      'Gradients are cut behind every `backprop` segments, counted from the first.',
    ],
    claim:
      'A fact in the first segment or anywhere in noise, the question in the last: trained on up to 5 segments of 64, read at 5, 20 and 100; the same model without memory answers at chance.',
  },
  config: defaults,
  tiny,
  recipe: {
    lr: 5e-4,
    weightDecay: 0.01,
    groups: [vectors, { match: /\.(initial|marks)$/, weightDecay: 0 }],
  },
  build,
}

export default paper
