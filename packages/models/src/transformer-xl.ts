import { RelativeAttention } from '@mneme/attention/relative-attention'
import {
  type CheckpointLayout,
  FeedForward,
  type LanguageModel,
  LayerNorm,
  type NameRule,
  normal,
  normalInit,
  type Paper,
  parameter,
  Rng,
  relu,
} from '@mneme/core-tensor'
import { type DecoderConfig, decoder } from './decoder.js'
import { flagOf, numberOf, type PublishedConfig } from './published.js'
import { withoutVectorDecay } from './recipes.js'

export interface TransformerXlConfig extends DecoderConfig {
  readonly nHeads: number
  readonly dHead: number
  readonly dInner: number
  /** Tokens of a segment. */
  readonly segment: number
  /** Tokens of earlier segments that each layer can see. */
  readonly memory: number
  readonly sameLength: boolean
  /** Distances beyond this count as this; 0 for none. */
  readonly clampLength: number
  readonly normEps: number
  readonly initStd: number
}

function build(config: TransformerXlConfig): LanguageModel {
  const { dModel, nHeads, dHead, dInner, normEps, initStd } = config
  const init = normalInit(initStd)
  const rng = new Rng(config.seed).fork('biases')
  // one pair for all layers
  const biases = {
    content: parameter(normal(rng, [nHeads, dHead], initStd)),
    position: parameter(normal(rng, [nHeads, dHead], initStd)),
  }
  return decoder(config, {
    embeddingStd: initStd,
    embeddingScale: Math.sqrt(dModel),
    ...(config.tieEmbeddings ? { headBias: true } : { headStd: initStd }),
    norm: null,
    stack: { norm: 'post' },
    layer: (_, layerRng) => ({
      mixer: new RelativeAttention({ ...config, projection: { bias: false, init } }, biases, layerRng),
      mixerNorm: new LayerNorm(dModel, normEps),
      mlp: new FeedForward(dModel, dInner, layerRng, { init }, relu),
      mlpNorm: new LayerNorm(dModel, normEps),
    }),
  })
}

/** The authors' code can do more than is read here: those settings must be at rest. */
function atRest(published: PublishedConfig): void {
  const cutoffs = (published.cutoffs ?? []) as readonly number[]
  if (cutoffs.length > 0 || numberOf(published, 'div_val', 1) !== 1) {
    throw new RangeError(
      'config.json cutoffs: expected a plain softmax, got an adaptive one. Load a model without cutoffs.',
    )
  }
  if (numberOf(published, 'd_embed', numberOf(published, 'd_model')) !== numberOf(published, 'd_model')) {
    throw new RangeError('config.json d_embed: expected d_model, got another width.')
  }
}

const checkpoint: CheckpointLayout<TransformerXlConfig> = {
  modelTypes: ['MemTransformerLM'],
  config(published) {
    atRest(published)
    return {
      vocabulary: numberOf(published, 'n_token'),
      dModel: numberOf(published, 'd_model'),
      nLayers: numberOf(published, 'n_layer'),
      nHeads: numberOf(published, 'n_head'),
      dHead: numberOf(published, 'd_head'),
      dInner: numberOf(published, 'd_inner'),
      segment: numberOf(published, 'tgt_len'),
      memory: numberOf(published, 'mem_len'),
      sameLength: flagOf(published, 'same_length', false),
      clampLength: Math.max(0, numberOf(published, 'clamp_len', -1)),
      tieEmbeddings: flagOf(published, 'tie_weight', true),
      normEps: 1e-5,
      initStd: 0.02,
      seed: 0,
    }
  },
  publish: (config) => ({
    reference: 'kimiyoung/transformer-xl, pytorch/mem_transformer.py, MemTransformerLM',
    n_token: config.vocabulary,
    d_model: config.dModel,
    d_embed: config.dModel,
    n_layer: config.nLayers,
    n_head: config.nHeads,
    d_head: config.dHead,
    d_inner: config.dInner,
    tgt_len: config.segment,
    mem_len: config.memory,
    ext_len: 0,
    same_length: config.sameLength,
    clamp_len: config.clampLength || -1,
    tie_weight: config.tieEmbeddings,
    tie_projs: [false],
    cutoffs: [],
    div_val: 1,
  }),
  names: (config): readonly NameRule[] => [
    { path: 'embedding.weight', name: 'word_emb.emb_layers.0.weight' },
    { path: 'body.layers.{i}.mixer.qkvProj.weight', name: 'layers.{i}.dec_attn.qkv_net.weight' },
    { path: 'body.layers.{i}.mixer.relProj.weight', name: 'layers.{i}.dec_attn.r_net.weight' },
    { path: 'body.layers.{i}.mixer.oProj.weight', name: 'layers.{i}.dec_attn.o_net.weight' },
    { path: 'body.layers.{i}.mixer.contentBias', name: 'r_w_bias' },
    { path: 'body.layers.{i}.mixer.positionBias', name: 'r_r_bias' },
    ...(['weight', 'bias'] as const).flatMap((kind) => [
      { path: `body.layers.{i}.mixerNorm.${kind}`, name: `layers.{i}.dec_attn.layer_norm.${kind}` },
      { path: `body.layers.{i}.mlp.upProj.${kind}`, name: `layers.{i}.pos_ff.CoreNet.0.${kind}` },
      { path: `body.layers.{i}.mlp.downProj.${kind}`, name: `layers.{i}.pos_ff.CoreNet.3.${kind}` },
      { path: `body.layers.{i}.mlpNorm.${kind}`, name: `layers.{i}.pos_ff.layer_norm.${kind}` },
    ]),
    ...(config.tieEmbeddings
      ? [{ path: 'headBias', name: 'crit.out_layers.0.bias' }]
      : [{ path: 'head.weight', name: 'crit.out_layers.0.weight' }]),
  ],
  ignore: [/^pos_emb\.inv_freq$/],
}

/** Transformer-XL: Dai et al. 2019, arXiv:1901.02860. */
const paper: Paper<TransformerXlConfig, LanguageModel> = {
  card: {
    key: 'transformer-xl',
    title: 'Transformer-XL: Attentive Language Models Beyond a Fixed-Length Context',
    authors: 'Dai, Yang, Yang, Carbonell, Le, Salakhutdinov',
    year: 2019,
    arxiv: '1901.02860',
    kind: 'language model',
    family: 'attention',
    equation:
      'a_{ij} = (q_i + u) \\cdot k_j + (q_i + v) \\cdot W_r R_{i-j}, \\quad j \\in \\text{memory} \\cup \\text{segment}',
    state: 'inputs of the last M tokens and of the open segment, (M + L) D values a layer',
    cost: 'O(D² + (M + L) D)',
    differs: [
      'A plain softmax over the vocabulary, without the adaptive bands of the word-level models.',
      'A segment may be fed in parts: its tokens become memory when it is full, as in training.',
    ],
    claim:
      'Character model of the novel, 4 layers, D = 128, L = 32, memory 0, 32 and 128 at equal parameters: the loss falls with memory. Copying over more than L tokens: at chance without memory.',
  },
  config: {
    vocabulary: 256,
    dModel: 64,
    nLayers: 2,
    nHeads: 4,
    dHead: 16,
    dInner: 256,
    segment: 32,
    memory: 64,
    sameLength: false,
    clampLength: 0,
    normEps: 1e-5,
    initStd: 0.02,
    tieEmbeddings: true,
    seed: 0,
  },
  tiny: {
    vocabulary: 13,
    dModel: 6,
    nLayers: 2,
    nHeads: 2,
    dHead: 4,
    dInner: 8,
    segment: 5,
    memory: 7,
    sameLength: false,
    clampLength: 9,
    normEps: 1e-5,
    initStd: 0.4,
    tieEmbeddings: true,
    seed: 0,
  },
  recipe: {
    lr: 3e-3,
    weightDecay: 0.01,
    groups: [...withoutVectorDecay, { match: /\.(content|position)Bias$|^headBias$/, weightDecay: 0 }],
  },
  build,
  checkpoint,
}

export default paper
