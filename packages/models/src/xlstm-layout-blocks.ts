import type { NameRule } from '@mneme/core-tensor'
import { flagOf, numberOf, oneOf, type PublishedConfig } from './published.js'
import type { XlstmConfig } from './xlstm.js'

/** As the authors' configuration has it where nothing is said. */
export const noBlocks: XlstmConfig['blocks'] = {
  slstmAt: [],
  slstmHeads: 4,
  slstmConvWidth: 4,
  dMemory: 128,
  convWidth: 4,
  mapBlock: 4,
  bias: false,
  mlpBias: false,
  finalNorm: true,
}

const part = (published: PublishedConfig, key: string): PublishedConfig => (published[key] ?? {}) as PublishedConfig

/** The width that a factor stands for, rounded as the file says. */
function widthOf(published: PublishedConfig, dModel: number, factor: number): number {
  const multiple = numberOf(published, 'round_proj_up_to_multiple_of', 64)
  const times = (numberOf(published, 'proj_factor', factor) * dModel) / multiple
  return multiple * (flagOf(published, 'round_proj_up_dim_up', true) ? Math.ceil(times) : Math.floor(times))
}

/** What `widthOf` reads as this width, whatever the rounding of floating point. */
const factorOf = (width: number, dModel: number): PublishedConfig => ({
  proj_factor: (width - 0.5) / dModel,
  round_proj_up_dim_up: true,
  round_proj_up_to_multiple_of: 1,
})

function layersOf(published: PublishedConfig, nLayers: number): readonly number[] {
  const at = published.slstm_at ?? []
  if (at === 'all') return Array.from({ length: nLayers }, (_, i) => i)
  if (Array.isArray(at)) return at as number[]
  throw new TypeError(`config.json slstm_at: expected a list of layers or 'all', got ${JSON.stringify(at)}.`)
}

/** From a configuration of the authors' blocks. */
export function fromBlocks(published: PublishedConfig): XlstmConfig {
  const dModel = numberOf(published, 'embedding_dim')
  const nLayers = numberOf(published, 'num_blocks')
  const matrix = part(part(published, 'mlstm_block'), 'mlstm')
  const scalar = part(part(published, 'slstm_block'), 'slstm')
  const feedForward = part(published, 'slstm_block').feedforward as PublishedConfig | null | undefined
  const slstmAt = layersOf(published, nLayers)
  if (slstmAt.length > 0) {
    oneOf(scalar, 'backend', ['vanilla'], 'vanilla')
    oneOf(scalar, 'function', ['slstm'], 'slstm')
    if (!flagOf(scalar, 'group_norm_weight', true)) {
      throw new RangeError(
        'config.json group_norm_weight: expected true, got false. A norm without weights is not here.',
      )
    }
  }
  if (feedForward) {
    oneOf(feedForward, 'ff_type', ['ffn_gated'], 'ffn_gated')
    oneOf(feedForward, 'act_fn', ['gelu'], 'gelu')
  }
  return {
    vocabulary: numberOf(published, 'vocab_size'),
    dModel,
    nLayers,
    form: 'blocks',
    nHeads: numberOf(matrix, 'num_heads', 4),
    expandK: 1,
    expandV: 1,
    dInner: feedForward ? widthOf(feedForward, dModel, 1.3) : 0,
    gateCap: 0,
    scoreCap: 0,
    inputGateBias: 0,
    eps: 1e-6,
    normEps: 1e-5,
    chunk: 64,
    initStd: null,
    fused: false,
    blocks: {
      slstmAt,
      slstmHeads: numberOf(scalar, 'num_heads', 4),
      slstmConvWidth: numberOf(scalar, 'conv1d_kernel_size', 4),
      dMemory: widthOf(matrix, dModel, 2),
      convWidth: numberOf(matrix, 'conv1d_kernel_size', 4),
      mapBlock: numberOf(matrix, 'qkv_proj_blocksize', 4),
      bias: flagOf(published, 'bias', false),
      mlpBias: feedForward ? flagOf(feedForward, 'bias', false) : false,
      finalNorm: flagOf(published, 'add_post_blocks_norm', true),
    },
    tieEmbeddings: flagOf(published, 'tie_weights', false),
    seed: 0,
  }
}

/** And back. */
export function toBlocks({ dModel, dInner, blocks, ...config }: XlstmConfig): PublishedConfig {
  return {
    reference: 'NX-AI/xlstm, xlstm/xlstm_lm_model.py, xLSTMLMModel',
    vocab_size: config.vocabulary,
    embedding_dim: dModel,
    num_blocks: config.nLayers,
    slstm_at: blocks.slstmAt,
    bias: blocks.bias,
    add_post_blocks_norm: blocks.finalNorm,
    tie_weights: config.tieEmbeddings,
    mlstm_block: {
      mlstm: {
        ...factorOf(blocks.dMemory, dModel),
        num_heads: config.nHeads,
        conv1d_kernel_size: blocks.convWidth,
        qkv_proj_blocksize: blocks.mapBlock,
      },
    },
    slstm_block: {
      slstm: { num_heads: blocks.slstmHeads, conv1d_kernel_size: blocks.slstmConvWidth, backend: 'vanilla' },
      feedforward:
        dInner > 0 ? { ...factorOf(dInner, dModel), act_fn: 'gelu', ff_type: 'ffn_gated', bias: blocks.mlpBias } : null,
    },
  }
}

/** The names of the authors' blocks for every parameter. */
export function namesOfBlocks({ dInner }: XlstmConfig): NameRule[] {
  const layer = 'body.layers.{i}'
  const mixer = `${layer}.mixer`
  const block = 'xlstm_block_stack.blocks.{i}'
  const both = ['weight', 'bias'] as const
  return [
    { path: 'embedding.weight', name: 'token_embedding.weight' },
    { path: `${layer}.mixerNorm.weight`, name: `${block}.xlstm_norm.weight` },
    { path: `${mixer}.conv.weight`, name: `${block}.xlstm.conv1d.conv.weight`, squeeze: 1 },
    { path: `${mixer}.conv.bias`, name: `${block}.xlstm.conv1d.conv.bias` },
    ...both.flatMap((p) => [
      { path: `${mixer}.upProj.${p}`, name: `${block}.xlstm.proj_up.${p}` },
      { path: `${mixer}.downProj.${p}`, name: `${block}.xlstm.proj_down.${p}` },
      { path: `${mixer}.inputGate.${p}`, name: `${block}.xlstm.mlstm_cell.igate.${p}` },
      { path: `${mixer}.forgetGate.${p}`, name: `${block}.xlstm.mlstm_cell.fgate.${p}` },
      ...(['gate', 'up'] as const).map(
        (part, i): NameRule => ({
          path: `${layer}.mlp.${part}Proj.${p}`,
          name: `${block}.ffn.proj_up.${p}`,
          rows: [i * dInner, (i + 1) * dInner, 2 * dInner],
        }),
      ),
      { path: `${layer}.mlp.downProj.${p}`, name: `${block}.ffn.proj_down.${p}` },
    ]),
    ...['q', 'k', 'v'].flatMap((p) => [
      { path: `${mixer}.${p}Proj`, name: `${block}.xlstm.${p}_proj.weight` },
      { path: `${mixer}.${p}Bias`, name: `${block}.xlstm.${p}_proj.bias` },
    ]),
    { path: `${mixer}.skip`, name: `${block}.xlstm.learnable_skip` },
    { path: `${mixer}.outNorm.weight`, name: `${block}.xlstm.mlstm_cell.outnorm.weight` },
    // the authors' names of these two gates are exchanged
    { path: `${mixer}.inputGate`, name: `${block}.xlstm.fgate.weight` },
    { path: `${mixer}.forgetGate`, name: `${block}.xlstm.igate.weight` },
    { path: `${mixer}.cellInput`, name: `${block}.xlstm.zgate.weight` },
    { path: `${mixer}.outputGate`, name: `${block}.xlstm.ogate.weight` },
    { path: `${mixer}.recurrentWeight`, name: `${block}.xlstm.slstm_cell._recurrent_kernel_` },
    { path: `${mixer}.bias`, name: `${block}.xlstm.slstm_cell._bias_` },
    { path: `${mixer}.norm.weight`, name: `${block}.xlstm.group_norm.weight` },
    { path: `${layer}.mlpNorm.weight`, name: `${block}.ffn_norm.weight` },
    { path: 'norm.weight', name: 'xlstm_block_stack.post_blocks_norm.weight' },
    { path: 'head.weight', name: 'lm_head.weight' },
  ]
}
