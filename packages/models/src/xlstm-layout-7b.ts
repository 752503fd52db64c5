import type { NameRule } from '@mneme/core-tensor'
import { flagOf, numberOf, oneOf, type PublishedConfig } from './published.js'
import type { XlstmConfig } from './xlstm.js'
import { noBlocks } from './xlstm-layout-blocks.js'

/** The library's rounding of the inner width, which is no true ceiling. */
function innerWidth(dModel: number, factor: number, multiple: number): number {
  return Math.floor((dModel * factor + multiple - 1) / multiple) * multiple
}

/** Maps that a fused file keeps in one tensor, each with its number of rows, in the file's order. */
function sharing(prefix: string, name: string, parts: readonly (readonly [path: string, rows: number])[]): NameRule[] {
  const of = parts.reduce((total, [, rows]) => total + rows, 0)
  let from = 0
  return parts.map(([path, rows]) => {
    const rule: NameRule = { path: `${prefix}.${path}`, name, rows: [from, from + rows, of] }
    from += rows
    return rule
  })
}

/** The names of xLSTM 7B for every parameter. */
export function namesOf7B({ fused, dModel, nHeads, expandK, expandV, dInner }: XlstmConfig): NameRule[] {
  const [mixer, mlp] = ['body.layers.{i}.mixer', 'body.layers.{i}.mlp']
  const block = 'backbone.blocks.{i}'
  const [dKeys, dValues] = [Math.trunc(dModel * expandK), Math.trunc(dModel * expandV)]
  const single = (prefix: string, path: string, name: string): NameRule => ({ path: `${prefix}.${path}`, name })
  const theirs = `${block}.mlstm_layer`
  const maps = fused
    ? [
        ...sharing(mixer, `${theirs}.qkv_opreact.weight`, [
          ['qProj.weight', dKeys],
          ['kProj.weight', dKeys],
          ['vProj.weight', dValues],
          ['outputGate.weight', dValues],
        ]),
        ...['weight', 'bias'].flatMap((p) =>
          sharing(mixer, `${theirs}.ifgate_preact.${p}`, [
            [`inputGate.${p}`, nHeads],
            [`forgetGate.${p}`, nHeads],
          ]),
        ),
        ...sharing(mlp, `${block}.ffn.proj_up_gate_z.weight`, [
          ['gateProj.weight', dInner],
          ['upProj.weight', dInner],
        ]),
      ]
    : [
        ...['q', 'k', 'v'].map((p) => single(mixer, `${p}Proj.weight`, `${theirs}.${p}.weight`)),
        single(mixer, 'outputGate.weight', `${theirs}.ogate_preact.weight`),
        ...['weight', 'bias'].flatMap((p) => [
          single(mixer, `inputGate.${p}`, `${theirs}.igate_preact.${p}`),
          single(mixer, `forgetGate.${p}`, `${theirs}.fgate_preact.${p}`),
        ]),
        single(mlp, 'gateProj.weight', `${block}.ffn.proj_up_gate.weight`),
        single(mlp, 'upProj.weight', `${block}.ffn.proj_up.weight`),
      ]
  return [
    { path: 'embedding.weight', name: 'backbone.embeddings.weight' },
    { path: 'body.layers.{i}.mixerNorm.weight', name: `${block}.norm_mlstm.weight` },
    ...maps,
    single(mixer, 'norm.weight', `${theirs}.multihead_norm.weight`),
    single(mixer, 'outProj.weight', `${theirs}.out_proj.weight`),
    { path: 'body.layers.{i}.mlpNorm.weight', name: `${block}.norm_ffn.weight` },
    single(mlp, 'downProj.weight', `${block}.ffn.proj_down.weight`),
    { path: 'norm.weight', name: 'backbone.out_norm.weight' },
    { path: 'head.weight', name: 'lm_head.weight' },
  ]
}

/** From the config.json of xLSTM 7B. @throws RangeError for settings that are not implemented */
export function from7B(published: PublishedConfig): XlstmConfig {
  if (flagOf(published, 'use_bias', false)) {
    throw new RangeError('config.json use_bias: expected false, got true. Biases beside those of gates are not here.')
  }
  const dModel = numberOf(published, 'embedding_dim', numberOf(published, 'hidden_size', 4096))
  const multiple = numberOf(published, 'ffn_round_up_to_multiple_of', 64)
  return {
    vocabulary: numberOf(published, 'vocab_size'),
    dModel,
    nLayers: numberOf(published, 'num_blocks', numberOf(published, 'num_hidden_layers', 32)),
    nHeads: numberOf(published, 'num_heads'),
    expandK: numberOf(published, 'qk_dim_factor', 0.5),
    expandV: numberOf(published, 'v_dim_factor', 1),
    dInner: innerWidth(dModel, numberOf(published, 'ffn_proj_factor', 2.667), multiple),
    gateCap: numberOf(published, 'gate_soft_cap', 15),
    scoreCap: numberOf(published, 'output_logit_soft_cap', 30),
    inputGateBias: -10,
    eps: numberOf(published, 'eps', 1e-6),
    normEps: numberOf(published, 'norm_eps', 1e-6),
    chunk: 64,
    initStd: null,
    fused: oneOf(published, 'weight_mode', ['single', 'fused'], 'single') === 'fused',
    form: '7B',
    blocks: noBlocks,
    tieEmbeddings: flagOf(published, 'tie_word_embeddings', false),
    seed: 0,
  }
}

/** And back. */
export function to7B(config: XlstmConfig): PublishedConfig {
  return {
    model_type: 'xlstm',
    architectures: ['xLSTMForCausalLM'],
    vocab_size: config.vocabulary,
    embedding_dim: config.dModel,
    hidden_size: config.dModel,
    num_blocks: config.nLayers,
    num_hidden_layers: config.nLayers,
    num_heads: config.nHeads,
    qk_dim_factor: config.expandK,
    v_dim_factor: config.expandV,
    // a factor that the library rounds to this very width
    ffn_proj_factor: config.dInner / config.dModel,
    ffn_round_up_to_multiple_of: 1,
    gate_soft_cap: config.gateCap,
    output_logit_soft_cap: config.scoreCap,
    eps: config.eps,
    norm_eps: config.normEps,
    use_bias: false,
    weight_mode: config.fused ? 'fused' : 'single',
    tie_word_embeddings: config.tieEmbeddings,
  }
}
