import type { NameRule } from '@mneme/core-tensor'
import { ifUsed } from './if-used.js'
import { flagOf, numberOf, oneOf, type PublishedConfig } from './published.js'

/** What checkpoints of Mamba and Mamba-2 have in common. */
export interface MambaShared {
  readonly vocabulary: number
  readonly dModel: number
  readonly nLayers: number
  readonly dState: number
  readonly convWidth: number
  readonly convBias: boolean
  readonly bias: boolean
  readonly normEps: number
  readonly initStd: number
}

/** From a config.json of either. @throws RangeError for another activation */
export function readShared(published: PublishedConfig): MambaShared {
  oneOf(published, 'hidden_act', ['silu'], 'silu')
  return {
    vocabulary: numberOf(published, 'vocab_size'),
    dModel: numberOf(published, 'hidden_size'),
    nLayers: numberOf(published, 'num_hidden_layers'),
    dState: numberOf(published, 'state_size'),
    convWidth: numberOf(published, 'conv_kernel', 4),
    convBias: flagOf(published, 'use_conv_bias', true),
    bias: flagOf(published, 'use_bias', false),
    normEps: numberOf(published, 'layer_norm_epsilon', 1e-5),
    initStd: numberOf(published, 'initializer_range', 0.1),
  }
}

export const writeShared = (config: MambaShared): PublishedConfig => ({
  vocab_size: config.vocabulary,
  hidden_size: config.dModel,
  num_hidden_layers: config.nLayers,
  state_size: config.dState,
  conv_kernel: config.convWidth,
  use_conv_bias: config.convBias,
  use_bias: config.bias,
  hidden_act: 'silu',
  layer_norm_epsilon: config.normEps,
  initializer_range: config.initStd,
})

/** A parameter of the mixer, here and there. */
export const inMixer = (path: string, name: string, rest: Partial<NameRule> = {}): NameRule => ({
  path: `body.layers.{i}.mixer.${path}`,
  name: `backbone.layers.{i}.mixer.${name}`,
  ...rest,
})

export const sharedNames: readonly NameRule[] = /* @__PURE__ */ ifUsed(() => [
  { path: 'embedding.weight', name: 'backbone.embeddings.weight' },
  { path: 'body.layers.{i}.mixerNorm.weight', name: 'backbone.layers.{i}.norm.weight' },
  ...['weight', 'bias'].flatMap((p) => [
    inMixer(`inProj.${p}`, `in_proj.${p}`),
    inMixer(`outProj.${p}`, `out_proj.${p}`),
  ]),
  inMixer('conv.weight', 'conv1d.weight', { squeeze: 1 }),
  inMixer('conv.bias', 'conv1d.bias'),
  inMixer('logA', 'A_log'),
  inMixer('skip', 'D'),
  { path: 'norm.weight', name: 'backbone.norm_f.weight' },
  { path: 'head.weight', name: 'lm_head.weight' },
])
