import {
  type BaseConfig,
  type CheckpointLayout,
  type NameRule,
  type Paper,
  Rng,
  withDefaults,
} from '@mneme/core-tensor'
import { ifUsed } from './if-used.js'
import { Memformer, type SideOptions } from './memformer-model.js'
import { flagOf, numberOf } from './published.js'
import { vectors } from './recipes.js'

export interface MemformerConfig extends BaseConfig {
  readonly dModel: number
  /** Layers and heads of the encoder. */
  readonly nLayers: number
  readonly nHeads: number
  /** Tokens that the encoder knows, where they are not the decoder's; 0 for the same. */
  readonly sourceVocabulary: number
  /** 0 for an encoder alone, of the vocabulary `vocabulary`. */
  readonly decoderLayers: number
  readonly decoderHeads: number
  readonly dInner: number
  /** Tokens of a segment. */
  readonly segment: number
  readonly slots: number
  /** How slots are rewritten; `gru` as in the public implementation. */
  readonly writer: 'normalised' | 'gru'
  readonly writerHeads: number
  /** Rounds of a `gru` write. */
  readonly updates: number
  /** Divides the scores of a write. */
  readonly temperature: number
  readonly buckets: number
  readonly maxDistance: number
  /** The published code has the tables of biases exchanged: one way for the encoder, both ways for the decoder. */
  readonly biasesSwapped: boolean
}

function build(config: MemformerConfig): Memformer {
  const { vocabulary, sourceVocabulary, nLayers, nHeads, decoderLayers, biasesSwapped } = config
  const encoder = { vocabulary: sourceVocabulary || vocabulary, nLayers, nHeads, bothWays: !biasesSwapped }
  const decoder: SideOptions = {
    vocabulary,
    nLayers: decoderLayers,
    nHeads: config.decoderHeads,
    bothWays: biasesSwapped,
  }
  const { slots, writer, writerHeads, updates, temperature } = config
  const memory = { slots, writer, nHeads: writerHeads, updates, temperature }
  const options = { ...config, encoder, decoder: decoderLayers === 0 ? null : decoder, memory }
  return new Memformer(options, new Rng(config.seed))
}

const linear = (path: string, name: string): NameRule[] =>
  ['weight', 'bias'].map((kind) => ({ path: `${path}.${kind}`, name: `${name}.${kind}` }))

/** Queries, keys and values, output; keys and values are one map in the file. */
const attention = (path: string, name: string, width: number): NameRule[] => [
  ...linear(`${path}.qProj`, `${name}.to_q`),
  ...['kProj', 'vProj'].flatMap((part, n) =>
    linear(`${path}.${part}`, `${name}.to_kv`).map(
      (rule): NameRule => ({ ...rule, rows: [n * width, (n + 1) * width, 2 * width] }),
    ),
  ),
  ...linear(`${path}.oProj`, `${name}.to_out`),
]

/** Of layer i: two residual layers here, three in the file. */
function layer(path: string, name: string, i: number, self: string, width: number): NameRule[] {
  const [first, second] = [`${path}.body.layers.${2 * i}`, `${path}.body.layers.${2 * i + 1}`]
  const at = (part: number): string => `${name}.layer_blocks.layers.${i}.${part}.fn`
  return [
    {
      path: `${first}.mixer.distanceBias.weight`,
      name: `${name}.layer_blocks.rel_pos_emb.relative_attention_bias.weight`,
    },
    ...attention(`${first}.mixer${self}`, `${at(0)}.fn`, width),
    ...linear(`${first}.mixerNorm`, `${at(0)}.norm`),
    ...attention(`${second}.mixer.attention`, `${at(1)}.fn`, width),
    ...linear(`${second}.mixerNorm`, `${at(1)}.norm`),
    ...linear(`${second}.mlp.upProj`, `${at(2)}.fn.net.0`),
    ...linear(`${second}.mlp.downProj`, `${at(2)}.fn.net.2`),
    ...linear(`${second}.mlpNorm`, `${at(2)}.norm`),
  ]
}

function side(path: string, name: string, layers: number, self: string, width: number): NameRule[] {
  return [
    { path: `${path}.embedding.weight`, name: `${name}.token_emb.weight` },
    ...Array.from({ length: layers }, (_, i) => layer(path, name, i, self, width)).flat(),
    ...linear(`${path}.norm`, `${name}.norm`),
  ]
}

/** The public PyTorch model, lucidrains/memformer. */
const checkpoint: CheckpointLayout<MemformerConfig> = {
  modelTypes: ['Memformer'],
  covers: ({ writer, temperature, biasesSwapped, dModel, dInner, buckets, maxDistance }) =>
    writer === 'gru' &&
    temperature === 1 &&
    biasesSwapped &&
    dInner === 4 * dModel &&
    buckets === 32 &&
    maxDistance === 128,
  config(published) {
    const dModel = numberOf(published, 'dim')
    const alone = flagOf(published, 'encoder_only', false)
    const source = numberOf(published, 'enc_num_tokens')
    return {
      vocabulary: alone ? source : numberOf(published, 'dec_num_tokens'),
      sourceVocabulary: alone ? 0 : source,
      dModel,
      nLayers: numberOf(published, 'enc_depth'),
      nHeads: numberOf(published, 'enc_heads', 8),
      decoderLayers: alone ? 0 : numberOf(published, 'dec_depth'),
      decoderHeads: alone ? 1 : numberOf(published, 'dec_heads', 8),
      dInner: 4 * dModel,
      segment: numberOf(published, 'enc_max_seq_len'),
      slots: numberOf(published, 'num_memory_slots'),
      writer: 'gru',
      writerHeads: numberOf(published, 'mem_update_attn_heads', 8),
      updates: numberOf(published, 'num_mem_updates', 1),
      temperature: 1,
      buckets: 32,
      maxDistance: 128,
      biasesSwapped: true,
      seed: 0,
    }
  },
  publish: (config) => ({
    reference: 'lucidrains/memformer, memformer/memformer.py, Memformer',
    dim: config.dModel,
    enc_num_tokens: config.sourceVocabulary || config.vocabulary,
    enc_depth: config.nLayers,
    enc_heads: config.nHeads,
    enc_max_seq_len: config.segment,
    ...(config.decoderLayers > 0 && {
      dec_num_tokens: config.vocabulary,
      dec_depth: config.decoderLayers,
      dec_heads: config.decoderHeads,
      dec_max_seq_len: config.segment,
    }),
    encoder_only: config.decoderLayers === 0,
    num_memory_slots: config.slots,
    num_mem_updates: config.updates,
    mem_update_attn_heads: config.writerHeads,
  }),
  names: ({ dModel, nLayers, decoderLayers }): readonly NameRule[] => [
    ...side('encoder', 'encoder', nLayers, '.attention', dModel),
    ...side('decoder', 'decoder.net', decoderLayers, '', dModel),
    ...linear('decoder.head', 'decoder.net.to_logits'),
    { path: 'slots.initial', name: 'memory_slots' },
    ...['q', 'kv', 'o'].flatMap((part) =>
      linear(`slots.writer.${part}Proj`, `mem_updater.to_${part === 'o' ? 'out' : part}`),
    ),
    ...['weight', 'bias'].flatMap((kind) =>
      ['Ih', 'Hh'].map((end) => ({ path: `slots.gru.${kind}${end}`, name: `gru.${kind}_${end.toLowerCase()}` })),
    ),
    ...linear('slots.mlpNorm', 'mem_ff.fn.norm'),
    ...linear('slots.mlp.upProj', 'mem_ff.fn.fn.net.0'),
    ...linear('slots.mlp.downProj', 'mem_ff.fn.fn.net.2'),
  ],
}

const tiny: MemformerConfig = {
  vocabulary: 13,
  sourceVocabulary: 0,
  dModel: 6,
  nLayers: 2,
  nHeads: 2,
  decoderLayers: 1,
  decoderHeads: 3,
  dInner: 8,
  segment: 3,
  slots: 2,
  writer: 'normalised',
  writerHeads: 2,
  updates: 1,
  temperature: 0.25,
  buckets: 8,
  maxDistance: 16,
  biasesSwapped: false,
  seed: 0,
}

/** What `tiny` leaves out. */
export const moreTiny: Readonly<Record<string, MemformerConfig>> = /* @__PURE__ */ ifUsed(() => ({
  'as in the public implementation': {
    ...tiny,
    sourceVocabulary: 15,
    dInner: 24,
    writer: 'gru',
    updates: 2,
    temperature: 1,
    buckets: 32,
    maxDistance: 128,
    biasesSwapped: true,
  },
}))

const defaults: MemformerConfig = /* @__PURE__ */ ifUsed(() => ({
  ...tiny,
  vocabulary: 256,
  dModel: 64,
  nHeads: 4,
  decoderLayers: 2,
  decoderHeads: 4,
  dInner: 256,
  segment: 16,
  slots: 8,
  writerHeads: 4,
  buckets: 32,
  maxDistance: 128,
}))

/**
 * Memformer: Wu et al. 2020, arXiv:2010.06891. `config` is laid over the defaults.
 *
 * @throws RangeError for a key that does not exist
 */
export function memformer(config: Partial<MemformerConfig> = {}): Memformer {
  return build(withDefaults('memformer', defaults, config))
}

const paper: Paper<MemformerConfig, Memformer> = {
  card: {
    key: 'memformer',
    title: 'Memformer: A Memory-Augmented Transformer for Sequence Modeling',
    authors: 'Wu, Lan, Qian, Gu, Geramifard, Yu',
    year: 2020,
    arxiv: '2010.06891',
    kind: 'language model',
    family: 'memory',
    equation:
      "E_s = \\operatorname{Enc}(x_s; M_s), \\quad m'_i = \\operatorname{Attn}(m_i; m_i, E_s), \\quad M_{s+1,i} = \\frac{m'_i + b_i}{\\lVert m'_i + b_i \\rVert}",
    state: 'M slots of D values; keys and values of two segments, 4 L D values a layer of the decoder',
    cost: 'O(D² + (L + M) D)',
    differs: [
      'As a language model: the decoder continues the segment that the encoder has read last, so that no token sees one that follows it.',
      'Back-propagation goes through all segments at once; memory replay, which needs the memory of one, is a function of its own.',
      'Temperature 1/4 in a write; the paper names none.',
      'writer "gru" and biasesSwapped: the public implementation, whose checkpoints load.',
    ],
    claim:
      'Copying and associative recall over 8 segments: above truncation to 1 and 2 segments, and above Transformer-XL of as many bytes of state.',
  },
  config: defaults,
  tiny,
  recipe: {
    lr: 1e-3,
    weightDecay: 0.01,
    groups: [vectors, { match: /^slots\.initial$|\.distanceBias\.|\.bias(Ih|Hh)$/, weightDecay: 0 }],
  },
  build,
  checkpoint,
}

export default paper
