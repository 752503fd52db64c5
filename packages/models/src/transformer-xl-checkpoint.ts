import type { CheckpointLayout, NameRule } from '@mneme/core-tensor'
import { flagOf, numberOf, oneOf, type PublishedConfig } from './published.js'
import type { TransformerXlConfig } from './transformer-xl.js'

/** What both kinds of files call the same. */
function shared(published: PublishedConfig): Omit<TransformerXlConfig, 'vocabulary' | 'adaptive' | 'layout'> {
  oneOf(published, 'attn_type', [0], 0)
  if (flagOf(published, 'pre_lnorm', false)) {
    throw new RangeError('config.json pre_lnorm: expected false, got true. Norms in front of each part are not here.')
  }
  return {
    dModel: numberOf(published, 'd_model'),
    nLayers: numberOf(published, 'n_layer'),
    nHeads: numberOf(published, 'n_head'),
    dHead: numberOf(published, 'd_head'),
    dInner: numberOf(published, 'd_inner'),
    // transformers leaves segments to whoever calls; 128 is what its configuration used to say
    segment: numberOf(published, 'tgt_len', 128),
    memory: numberOf(published, 'mem_len'),
    sameLength: flagOf(published, 'same_length', false),
    clampLength: Math.max(0, numberOf(published, 'clamp_len', -1)),
    zeroMemory: flagOf(published, 'zero_memory', published.model_type !== undefined),
    untiedBiases: flagOf(published, 'untie_r', false),
    tieEmbeddings: flagOf(published, 'tie_weight', flagOf(published, 'tie_word_embeddings', true)),
    normEps: numberOf(published, 'layer_norm_epsilon', 1e-5),
    initStd: numberOf(published, 'init_std', 0.02),
    seed: 0,
  }
}

function bands(
  published: PublishedConfig,
  vocabulary: number,
  clusters: 'forward' | 'backward',
): NonNullable<TransformerXlConfig['adaptive']> {
  const cutoffs = ((published.cutoffs ?? []) as readonly number[]).filter((cutoff) => cutoff < vocabulary)
  const tied = (published.tie_projs ?? []) as readonly boolean[]
  return {
    cutoffs,
    divisor: numberOf(published, 'div_val', 1),
    dEmbedding: numberOf(published, 'd_embed', numberOf(published, 'd_model')),
    tiedProjections: Array.from({ length: cutoffs.length + 1 }, (_, k) => tied[k] ?? false),
    clusters,
  }
}

function fromAuthors(published: PublishedConfig): TransformerXlConfig {
  const vocabulary = numberOf(published, 'n_token')
  const all = shared(published)
  const adaptive = bands(published, vocabulary, 'backward')
  const { cutoffs, divisor, dEmbedding } = adaptive
  const plain = cutoffs.length === 0 && divisor === 1 && dEmbedding === all.dModel && all.tieEmbeddings
  return { ...all, vocabulary, adaptive: plain ? null : adaptive, layout: 'authors' }
}

function fromTransformers(published: PublishedConfig): TransformerXlConfig {
  const vocabulary = numberOf(published, 'vocab_size')
  return {
    ...shared(published),
    vocabulary,
    adaptive: bands(published, vocabulary, 'forward'),
    layout: 'transformers',
  }
}

function publish(config: TransformerXlConfig): PublishedConfig {
  const { adaptive, layout } = config
  return {
    ...(layout === 'authors'
      ? {
          reference: 'kimiyoung/transformer-xl, pytorch/mem_transformer.py, MemTransformerLM',
          n_token: config.vocabulary,
          ext_len: 0,
          tie_weight: config.tieEmbeddings,
        }
      : {
          model_type: 'transfo-xl',
          architectures: ['TransfoXLLMHeadModel'],
          vocab_size: config.vocabulary,
          adaptive: true,
          attn_type: 0,
          untie_r: config.untiedBiases,
          layer_norm_epsilon: config.normEps,
          tie_word_embeddings: config.tieEmbeddings,
        }),
    d_model: config.dModel,
    d_embed: adaptive?.dEmbedding ?? config.dModel,
    n_layer: config.nLayers,
    n_head: config.nHeads,
    d_head: config.dHead,
    d_inner: config.dInner,
    tgt_len: config.segment,
    mem_len: config.memory,
    same_length: config.sameLength,
    clamp_len: config.clampLength || -1,
    ...(config.zeroMemory !== (layout === 'transformers') && { zero_memory: config.zeroMemory }),
    tie_projs: adaptive?.tiedProjections ?? [false],
    cutoffs: adaptive?.cutoffs ?? [],
    div_val: adaptive?.divisor ?? 1,
  }
}

function names({ adaptive, layout, untiedBiases }: TransformerXlConfig): NameRule[] {
  const model = layout === 'authors' ? '' : 'transformer.'
  const layer = `${model}layers.{i}`
  const biases = untiedBiases ? `${layer}.dec_attn.` : model
  const bias = (path: string, name: string): NameRule => ({
    path: `body.layers.{i}.mixer.${path}`,
    name: `${biases}${name}`,
    ...(!untiedBiases && { aliases: [`${model}layers.0.dec_attn.${name}`] }),
  })
  return [
    ...(adaptive ? bandNames(model) : plainNames(model)),
    { path: 'body.layers.{i}.mixer.qkvProj.weight', name: `${layer}.dec_attn.qkv_net.weight` },
    { path: 'body.layers.{i}.mixer.relProj.weight', name: `${layer}.dec_attn.r_net.weight` },
    { path: 'body.layers.{i}.mixer.oProj.weight', name: `${layer}.dec_attn.o_net.weight` },
    bias('contentBias', 'r_w_bias'),
    bias('positionBias', 'r_r_bias'),
    ...(['weight', 'bias'] as const).flatMap((kind) => [
      { path: `body.layers.{i}.mixerNorm.${kind}`, name: `${layer}.dec_attn.layer_norm.${kind}` },
      { path: `body.layers.{i}.mlp.upProj.${kind}`, name: `${layer}.pos_ff.CoreNet.0.${kind}` },
      { path: `body.layers.{i}.mlp.downProj.${kind}`, name: `${layer}.pos_ff.CoreNet.3.${kind}` },
      { path: `body.layers.{i}.mlpNorm.${kind}`, name: `${layer}.pos_ff.layer_norm.${kind}` },
    ]),
  ]
}

const plainNames = (model: string): NameRule[] => [
  { path: 'embedding.weight', name: `${model}word_emb.emb_layers.0.weight` },
  { path: 'headBias', name: 'crit.out_layers.0.bias' },
  { path: 'head.weight', name: 'crit.out_layers.0.weight' },
]

const bandNames = (model: string): NameRule[] => [
  { path: 'embedding.tables.{k}', name: `${model}word_emb.emb_layers.{k}.weight` },
  { path: 'embedding.projections.{k}', name: `${model}word_emb.emb_projs.{k}` },
  { path: 'head.biases.{k}', name: 'crit.out_layers.{k}.bias' },
  { path: 'head.tables.{k}', name: 'crit.out_layers.{k}.weight' },
  { path: 'head.projections.{k}', name: 'crit.out_projs.{k}' },
  { path: 'head.clusterWeight', name: 'crit.cluster_weight' },
  { path: 'head.clusterBias', name: 'crit.cluster_bias' },
]

/** The authors' files, and those of transformers. */
export const checkpoint: CheckpointLayout<TransformerXlConfig> = {
  modelTypes: ['MemTransformerLM', 'transfo-xl'],
  config: (published) => (published.model_type === undefined ? fromAuthors(published) : fromTransformers(published)),
  publish,
  names,
  ignore: [/(^|\.)pos_emb\.inv_freq$/],
}
