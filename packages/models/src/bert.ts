import { type CheckpointLayout, type LanguageModel, type NameRule, type Paper, withDefaults } from '@mneme/core-tensor'
import { activationOf } from './activations.js'
import { type BertConfig, bertEncoder } from './bert-encoder.js'
import { ifUsed } from './if-used.js'
import { flagOf, numberOf, oneOf, type PublishedConfig } from './published.js'
import { vectors } from './recipes.js'

function readBert(published: PublishedConfig): BertConfig {
  const padToken = published.pad_token_id
  return {
    vocabulary: numberOf(published, 'vocab_size'),
    dModel: numberOf(published, 'hidden_size'),
    nLayers: numberOf(published, 'num_hidden_layers'),
    nHeads: numberOf(published, 'num_attention_heads'),
    dInner: numberOf(published, 'intermediate_size'),
    positions: numberOf(published, 'max_position_embeddings', 512),
    positionType: oneOf(
      published,
      'position_embedding_type',
      ['absolute', 'relative_key', 'relative_key_query'],
      'absolute',
    ),
    tokenTypes: numberOf(published, 'type_vocab_size', 2),
    activation: activationOf(published, 'hidden_act', 'gelu'),
    padToken: padToken === null ? null : numberOf(published, 'pad_token_id', 0),
    normEps: numberOf(published, 'layer_norm_eps', 1e-12),
    initStd: numberOf(published, 'initializer_range', 0.02),
    tieEmbeddings: flagOf(published, 'tie_word_embeddings', true),
    seed: 0,
  }
}

function names({ positionType }: BertConfig): NameRule[] {
  const absolute = positionType === 'absolute'
  const typed = absolute ? 'body.inner' : 'body'
  const layer = (path: string, name: string): NameRule => ({
    path: `${typed}.inner.layers.{i}.${path}`,
    name: `bert.encoder.layer.{i}.${name}`,
  })
  const embeddings = 'bert.embeddings'
  return [
    { path: 'embedding.weight', name: `${embeddings}.word_embeddings.weight` },
    { path: `${typed}.embedding.weight`, name: `${embeddings}.token_type_embeddings.weight` },
    ...(absolute ? [{ path: 'body.embedding.weight', name: `${embeddings}.position_embeddings.weight` }] : []),
    layer('mixer.distances.weight', 'attention.self.distance_embedding.weight'),
    ...(['weight', 'bias'] as const).flatMap((kind) => [
      { path: `${typed}.inner.inputNorm.${kind}`, name: `${embeddings}.LayerNorm.${kind}` },
      layer(`mixer.qProj.${kind}`, `attention.self.query.${kind}`),
      layer(`mixer.kProj.${kind}`, `attention.self.key.${kind}`),
      layer(`mixer.vProj.${kind}`, `attention.self.value.${kind}`),
      layer(`mixer.oProj.${kind}`, `attention.output.dense.${kind}`),
      layer(`mixerNorm.${kind}`, `attention.output.LayerNorm.${kind}`),
      layer(`mlp.upProj.${kind}`, `intermediate.dense.${kind}`),
      layer(`mlp.downProj.${kind}`, `output.dense.${kind}`),
      layer(`mlpNorm.${kind}`, `output.LayerNorm.${kind}`),
      { path: `norm.dense.${kind}`, name: `cls.predictions.transform.dense.${kind}` },
      { path: `norm.norm.${kind}`, name: `cls.predictions.transform.LayerNorm.${kind}` },
    ]),
    { path: 'headBias', name: 'cls.predictions.bias' },
    { path: 'head.bias', name: 'cls.predictions.bias' },
    { path: 'head.weight', name: 'cls.predictions.decoder.weight' },
  ]
}

const checkpoint: CheckpointLayout<BertConfig> = {
  modelTypes: ['bert'],
  config: readBert,
  publish: (config) => ({
    model_type: 'bert',
    architectures: ['BertForMaskedLM'],
    vocab_size: config.vocabulary,
    hidden_size: config.dModel,
    num_hidden_layers: config.nLayers,
    num_attention_heads: config.nHeads,
    intermediate_size: config.dInner,
    max_position_embeddings: config.positions,
    position_embedding_type: config.positionType,
    type_vocab_size: config.tokenTypes,
    hidden_act: config.activation,
    pad_token_id: config.padToken,
    layer_norm_eps: config.normEps,
    initializer_range: config.initStd,
    tie_word_embeddings: config.tieEmbeddings,
  }),
  names,
  // the same values under another name, a buffer, a table that nothing reads, and the parts of other tasks
  ignore: [
    /^cls\.predictions\.decoder\.bias$/,
    /^bert\.embeddings\.position_ids$/,
    /^bert\.embeddings\.position_embeddings\.weight$/,
    /^bert\.pooler\./,
    /^cls\.seq_relationship\./,
  ],
}

const defaults: BertConfig = {
  vocabulary: 256,
  dModel: 64,
  nLayers: 2,
  nHeads: 4,
  dInner: 256,
  positions: 512,
  positionType: 'absolute',
  tokenTypes: 2,
  activation: 'gelu',
  padToken: null,
  normEps: 1e-12,
  initStd: 0.02,
  tieEmbeddings: true,
  seed: 0,
}

const tiny: BertConfig = /* @__PURE__ */ ifUsed(() => ({
  ...defaults,
  vocabulary: 13,
  dModel: 6,
  nHeads: 2,
  dInner: 8,
  positions: 24,
  initStd: 0.4,
}))

/** Small configurations of what `tiny` does not reach, by name, for the laws. */
export const moreTiny: Readonly<Record<string, BertConfig>> = /* @__PURE__ */ ifUsed(() => ({
  'distances of queries': { ...tiny, positionType: 'relative_key', activation: 'gelu_new' },
  'distances of queries and keys, an output of its own': {
    ...tiny,
    positionType: 'relative_key_query',
    tieEmbeddings: false,
  },
}))

function build(config: BertConfig): LanguageModel {
  return bertEncoder(config)
}

/**
 * BERT: Devlin et al. 2018, arXiv:1810.04805. `config` is laid over the defaults.
 *
 * @throws RangeError for a key that does not exist
 */
export function bert(config: Partial<BertConfig> = {}): LanguageModel {
  return build(withDefaults('bert', defaults, config))
}

const paper: Paper<BertConfig, LanguageModel> = {
  card: {
    key: 'bert',
    title: 'BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding',
    authors: 'Devlin, Chang, Lee, Toutanova',
    year: 2018,
    arxiv: '1810.04805',
    kind: 'encoder',
    family: 'attention',
    equation: 'o_i = \\sum_j \\mathrm{softmax}_j\\!\\left(\\tfrac{q_i \\cdot k_j}{\\sqrt K}\\right) v_j',
    state: 'none: a call is a sequence',
    cost: 'O(D² + T D)',
    differs: [
      'The masked language model alone, without the pooled vector and the prediction of the next sentence; files that hold them load.',
      'Padding takes no position, so that it may stand anywhere; behind a sequence that is the same.',
      'No dropout.',
    ],
    claim:
      'Hidden characters of the novel, 15 % of them, from both sides: a lower loss than from the left alone, at equal parameters.',
  },
  config: defaults,
  tiny,
  recipe: { lr: 1e-3, weightDecay: 0.01, groups: [vectors] },
  build,
  checkpoint,
}

export default paper
