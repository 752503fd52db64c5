import type { CheckpointLayout, NameRule } from '@mneme/core-tensor'
import { flagOf, numberOf, oneOf, type PublishedConfig } from './published.js'
import type { RwkvConfig } from './rwkv.js'

/** Weight and bias of a norm. */
const norm = (path: string, name: string): NameRule[] =>
  ['weight', 'bias'].map((p) => ({ path: `${path}.${p}`, name: `${name}.${p}` }))

/** Names of one block, whose two parts stand one after the other here. */
function block4(i: number): NameRule[] {
  const [time, channel] = [`body.layers.${2 * i}`, `body.layers.${2 * i + 1}`]
  const block = `rwkv.blocks.${i}`
  const linear = (at: string, part: string, ...names: readonly string[]): NameRule[] =>
    names.map((p) => ({ path: `${at}.mixer.${p}.weight`, name: `${block}.${part}.${p}.weight` }))
  const mixes = (at: string, part: string, ...names: readonly (readonly [path: string, name: string])[]): NameRule[] =>
    names.map(([path, name]) => ({
      path: `${at}.mixer.${path}`,
      name: `${block}.${part}.time_mix_${name}`,
      squeeze: [0, 1],
    }))
  return [
    ...norm(`${time}.mixerNorm`, `${block}.ln1`),
    ...norm(`${channel}.mixerNorm`, `${block}.ln2`),
    { path: `${time}.mixer.timeDecay`, name: `${block}.attention.time_decay` },
    { path: `${time}.mixer.timeFirst`, name: `${block}.attention.time_first` },
    ...mixes(time, 'attention', ['timeMixKey', 'key'], ['timeMixValue', 'value'], ['timeMixReceptance', 'receptance']),
    ...linear(time, 'attention', 'key', 'value', 'receptance', 'output'),
    ...mixes(channel, 'feed_forward', ['timeMixKey', 'key'], ['timeMixReceptance', 'receptance']),
    ...linear(channel, 'feed_forward', 'key', 'receptance', 'value'),
  ]
}

/** Rules for the two parts of a block of flash-linear-attention, and its norms. */
function flaBlock(i: number): {
  readonly inTime: (path: string, name: string, rest?: Partial<NameRule>) => NameRule
  readonly inChannel: (path: string, name: string) => NameRule
  readonly norms: readonly NameRule[]
} {
  const [time, channel] = [`body.layers.${2 * i}`, `body.layers.${2 * i + 1}`]
  const layer = `model.layers.${i}`
  return {
    inTime: (path, name, rest) => ({ path: `${time}.mixer.${path}`, name: `${layer}.attn.${name}`, ...rest }),
    inChannel: (path, name) => ({ path: `${channel}.mixer.${path}`, name: `${layer}.ffn.${name}` }),
    norms: [
      ...norm(`${time}.mixerNorm`, `${layer}.attn_norm`),
      ...norm(`${channel}.mixerNorm`, `${layer}.ffn_norm`),
      ...norm(`${time}.mixer.gNorm`, `${layer}.attn.g_norm`),
    ],
  }
}

function block6(i: number): NameRule[] {
  const { inTime, inChannel, norms } = flaBlock(i)
  return [
    ...norms,
    inTime('shiftMix', 'x_proj.0.mu'),
    inTime('shiftDown.weight', 'x_proj.0.linear.weight'),
    inTime('shiftUp', 'x_proj.2.weight'),
    inTime('shiftBias', 'x_bias'),
    ...['r', 'k', 'v', 'g'].map((p) => inTime(`${p}Proj.weight`, `${p}_proj.linear.weight`)),
    inTime('decay.down.weight', 'w_proj.linear.lora.0.weight'),
    inTime('decay.up.weight', 'w_proj.linear.lora.2.weight'),
    inTime('decay.up.bias', 'w_proj.linear.lora.2.bias'),
    inTime('bonus', 'bonus'),
    inTime('oProj.weight', 'o_proj.weight'),
    inChannel('timeMixKey', 'key.mu'),
    inChannel('timeMixReceptance', 'receptance.mu'),
    inChannel('key.weight', 'key.linear.weight'),
    inChannel('receptance.weight', 'receptance.linear.weight'),
    inChannel('value.weight', 'value.weight'),
  ]
}

function block7(i: number): NameRule[] {
  const { inTime, inChannel, norms } = flaBlock(i)
  const lowRank = (path: string, name: string, biased = true): NameRule[] => [
    inTime(`${path}.down.weight`, `${name}_lora.lora.0.weight`),
    inTime(`${path}.up.weight`, `${name}_lora.lora.2.weight`),
    ...(biased ? [inTime(`${path}.up.bias`, `${name}_lora.lora.2.bias`)] : []),
  ]
  return [
    ...norms,
    ...['r', 'w', 'k', 'v', 'a', 'g'].map((p) => inTime(`x${p}`, `x_${p}`, { squeeze: [0, 1] })),
    inTime('kk', 'k_k'),
    inTime('ka', 'k_a'),
    inTime('rk', 'r_k'),
    ...['r', 'k', 'v', 'o'].map((p) => inTime(`${p}Proj.weight`, `${p}_proj.weight`)),
    ...lowRank('decay', 'w'),
    ...lowRank('rate', 'a'),
    ...lowRank('residual', 'v'),
    ...lowRank('gate', 'g', false),
    inChannel('timeMixKey', 'x_k'),
    inChannel('key.weight', 'key.weight'),
    inChannel('value.weight', 'value.weight'),
  ]
}

/** Version 4 as transformers has it, versions 6 and 7 as flash-linear-attention. */
export const checkpoint: CheckpointLayout<RwkvConfig> = {
  modelTypes: ['rwkv', 'rwkv6', 'rwkv7'],
  config(published) {
    const dModel = numberOf(published, 'hidden_size')
    return {
      ...settingsOf(published, dModel),
      vocabulary: numberOf(published, 'vocab_size'),
      dModel,
      nLayers: numberOf(published, 'num_hidden_layers'),
      initStd: null,
      tieEmbeddings: flagOf(published, 'tie_word_embeddings', false),
      seed: 0,
    }
  },
  publish: (config) => ({
    ...{ 4: published4, 6: published6, 7: published7 }[config.version](config),
    vocab_size: config.vocabulary,
    hidden_size: config.dModel,
    num_hidden_layers: config.nLayers,
    intermediate_size: config.dInner,
    tie_word_embeddings: config.tieEmbeddings,
  }),
  names({ version, nLayers }) {
    const theirs = version === 4 ? names4 : { ...namesOfFla, block: version === 6 ? block6 : block7 }
    return [
      { path: 'embedding.weight', name: theirs.embedding },
      ...norm('embeddingNorm', theirs.embeddingNorm),
      ...Array.from({ length: nLayers }, (_, i) => theirs.block(i)).flat(),
      ...norm('norm', theirs.norm),
      { path: 'head.weight', name: theirs.head },
    ]
  },
}

type Ranks = 'shiftRank' | 'decayRank' | 'rateRank' | 'residualRank' | 'gateRank'
type Settings = Pick<RwkvConfig, 'version' | 'dAttention' | 'nHeads' | 'dInner' | 'normEps' | Ranks>

/** Ranks of what a version has not. */
const none: Pick<RwkvConfig, Ranks> = { shiftRank: 1, decayRank: 1, rateRank: 1, residualRank: 1, gateRank: 1 }

function settingsOf(published: PublishedConfig, dModel: number): Settings {
  switch (published.model_type) {
    case 'rwkv7':
      return settings7(published, dModel)
    case 'rwkv6':
      return settings6(published, dModel)
    default:
      return settings4(published, dModel)
  }
}

function settings4(published: PublishedConfig, dModel: number): Settings {
  return {
    version: 4,
    dAttention: numberOf(published, 'attention_hidden_size', dModel),
    nHeads: 1,
    ...none,
    dInner: numberOf(published, 'intermediate_size', 4 * dModel),
    normEps: numberOf(published, 'layer_norm_epsilon', 1e-5),
  }
}

function settings6(published: PublishedConfig, dModel: number): Settings {
  oneOf(published, 'expand_v', [1], 1)
  return {
    version: 6,
    dAttention: Math.trunc(dModel * numberOf(published, 'expand_k', 0.5)),
    nHeads: numberOf(published, 'num_heads', 4),
    ...none,
    shiftRank: numberOf(published, 'proj_low_rank_dim', 32),
    // so called there; it is that of the decay
    decayRank: numberOf(published, 'gate_low_rank_dim', 64),
    dInner: numberOf(published, 'intermediate_size', 32 * Math.ceil(Math.trunc(3.5 * dModel) / 32)),
    normEps: numberOf(published, 'norm_eps', 1e-5),
  }
}

function settings7(published: PublishedConfig, dModel: number): Settings {
  const widths = [published.value_dim ?? dModel].flat()
  if (widths.some((width) => width !== dModel)) {
    throw new RangeError(`config.json value_dim: expected ${dModel} in every layer, got ${widths.join(', ')}.`)
  }
  return {
    version: 7,
    dAttention: dModel,
    nHeads: dModel / numberOf(published, 'head_dim', 64),
    shiftRank: 1,
    decayRank: numberOf(published, 'decay_low_rank_dim', 64),
    rateRank: numberOf(published, 'a_low_rank_dim', 64),
    residualRank: numberOf(published, 'v_low_rank_dim', 16),
    gateRank: numberOf(published, 'gate_low_rank_dim', 128),
    dInner: numberOf(published, 'intermediate_size', 32 * Math.ceil((4 * dModel) / 32)),
    normEps: numberOf(published, 'norm_eps', 1e-5),
  }
}

const published4 = (config: RwkvConfig): PublishedConfig => ({
  model_type: 'rwkv',
  architectures: ['RwkvForCausalLM'],
  attention_hidden_size: config.dAttention,
  layer_norm_epsilon: config.normEps,
  rescale_every: 6,
})

const published6 = (config: RwkvConfig): PublishedConfig => ({
  model_type: 'rwkv6',
  architectures: ['RWKV6ForCausalLM'],
  expand_k: config.dAttention / config.dModel,
  expand_v: 1,
  num_heads: config.nHeads,
  proj_low_rank_dim: config.shiftRank,
  gate_low_rank_dim: config.decayRank,
  norm_eps: config.normEps,
  norm_bias: true,
  norm_first: true,
})

const published7 = (config: RwkvConfig): PublishedConfig => ({
  model_type: 'rwkv7',
  architectures: ['RWKV7ForCausalLM'],
  attn_mode: 'chunk',
  head_dim: config.dModel / config.nHeads,
  num_heads: config.nHeads,
  value_dim: Array.from({ length: config.nLayers }, () => config.dModel),
  decay_low_rank_dim: config.decayRank,
  a_low_rank_dim: config.rateRank,
  v_low_rank_dim: config.residualRank,
  gate_low_rank_dim: config.gateRank,
  norm_eps: config.normEps,
  hidden_act: 'sqrelu',
  norm_bias: true,
  norm_first: true,
})

const names4 = {
  embedding: 'rwkv.embeddings.weight',
  embeddingNorm: 'rwkv.blocks.0.pre_ln',
  block: block4,
  norm: 'rwkv.ln_out',
  head: 'head.weight',
}

const namesOfFla = {
  embedding: 'model.embeddings.weight',
  embeddingNorm: 'model.layers.0.pre_norm',
  norm: 'model.norm',
  head: 'lm_head.weight',
}
