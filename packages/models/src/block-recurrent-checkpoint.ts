import type { CheckpointLayout, NameRule } from '@mneme/core-tensor'
import type { BlockRecurrentConfig } from './block-recurrent-transformer.js'
import { flagOf, numberOf, type PublishedConfig } from './published.js'

/** Layers counted from 1 in the file. */
function layersOf(published: PublishedConfig, key: string, fallback: readonly number[]): number[] {
  const value = published[key] ?? null
  if (value === null) return [...fallback]
  if (!Array.isArray(value) || !value.every(Number.isInteger)) {
    throw new TypeError(`config.json ${key}: expected a list of layers, got ${JSON.stringify(value)}.`)
  }
  return value.map((layer: number) => layer - 1)
}

function config(published: PublishedConfig): BlockRecurrentConfig {
  if (flagOf(published, 'use_compressed_mem', false)) {
    throw new RangeError('config.json use_compressed_mem: expected false, got true: older blocks are not kept here.')
  }
  const dModel = numberOf(published, 'dim')
  const nLayers = numberOf(published, 'depth')
  const block = numberOf(published, 'block_width', 512)
  const recurrentLayers = layersOf(published, 'recurrent_layers', [Math.floor(nLayers / 2) - 1])
  return {
    form: 'port',
    vocabulary: numberOf(published, 'num_tokens'),
    dModel,
    nLayers,
    nHeads: numberOf(published, 'heads', 8),
    dHead: numberOf(published, 'dim_head', 64),
    dInner: Math.trunc((dModel * numberOf(published, 'ff_mult', 4) * 2) / 3),
    block,
    segment: numberOf(published, 'max_seq_len', 1024),
    vectors: numberOf(published, 'num_state_vectors', block),
    recurrentLayers,
    readLayers: layersOf(published, 'read_recurrent_layers', recurrentLayers),
    feedback: false,
    update: 'skip',
    gate: 'fixed',
    buckets: 32,
    maxDistance: 128,
    scaleAll: flagOf(published, 'all_layers_qk_rmsnorm', false),
    tieEmbeddings: false,
    seed: 0,
  }
}

const fromOne = (layers: readonly number[]): number[] => layers.map((layer) => layer + 1)

/** Both halves of a fused map: the rows of one, then of the other. */
function halves(paths: readonly [string, string], name: string, rows: number): NameRule[] {
  return paths.map((path, part) => ({ path, name, rows: [part * rows, (part + 1) * rows, 2 * rows] }))
}

const scales = (path: string, name: string): NameRule[] => [
  { path: `${path}.queryScale`, name: `${name}.q_scale` },
  { path: `${path}.keyScale`, name: `${name}.k_scale` },
]

const norm = (path: string, name: string): NameRule[] => [
  { path: `${path}.weight`, name: `${name}.gamma` },
  { path: `${path}.bias`, name: `${name}.beta` },
]

/** What a set of vectors, and the layer that reads it, have in the layer that writes it. */
function container(config: BlockRecurrentConfig, n: number): NameRule[] {
  const [writer, reader] = [config.recurrentLayers[n], config.readLayers[n] as number]
  const place = config.readLayers.slice(0, n).filter((layer) => layer === reader).length
  const [path, name] = [`body.vectors.${n}`, `layers.${writer}.0.state_container`]
  const read = `body.layers.${reader}.mixer.readers.${place}`
  return [
    { path: `${path}.initial`, name: `${name}.init_state` },
    { path: `${path}.positions`, name: `${name}.state_pos_ids` },
    ...norm(`${path}.norm`, `${name}.state_norm`),
    { path: `${read}.qProj.weight`, name: `${name}.q_to_state.weight` },
    ...scales(`${read}.similarity`, `${name}.to_state_cross_attn`),
    { path: `${path}.selfProj.weight`, name: `${name}.state_to_q.weight` },
    ...scales(`${path}.selfSimilarity`, `${name}.state_self_attn`),
    { path: `${path}.crossProj.weight`, name: `${name}.q_from_state.weight` },
    ...scales(`${path}.crossSimilarity`, `${name}.from_state_cross_attn`),
    ...halves([`${path}.kProj.weight`, `${path}.vProj.weight`], `${name}.state_to_kv.weight`, config.dHead),
    { path: `${path}.oProj.weight`, name: `${name}.to_state_out.weight` },
    { path: `${path}.gate.bias`, name: `${name}.learned_ema_beta` },
    { path: `${path}.gate.outProj.weight`, name: `${name}.state_out_to_gate.weight` },
    { path: `${path}.gate.outProj.bias`, name: `${name}.state_out_to_gate.bias` },
  ]
}

/** The public PyTorch model, lucidrains/block-recurrent-transformer-pytorch. */
export const checkpoint: CheckpointLayout<BlockRecurrentConfig> = {
  modelTypes: ['BlockRecurrentTransformer'],
  covers: ({ form, tieEmbeddings }) => form === 'port' && !tieEmbeddings,
  config,
  publish: (config) => ({
    reference:
      'lucidrains/block-recurrent-transformer-pytorch, block_recurrent_transformer_pytorch.py, BlockRecurrentTransformer',
    num_tokens: config.vocabulary,
    dim: config.dModel,
    depth: config.nLayers,
    dim_head: config.dHead,
    heads: config.nHeads,
    all_layers_qk_rmsnorm: config.scaleAll,
    // the library takes whole parts: a little more gives the same width back
    ff_mult: (3 * config.dInner + 1) / (2 * config.dModel),
    max_seq_len: config.segment,
    block_width: config.block,
    recurrent_layers: fromOne(config.recurrentLayers),
    read_recurrent_layers: fromOne(config.readLayers),
    num_state_vectors: config.vectors,
    use_compressed_mem: false,
  }),
  names: (config): readonly NameRule[] => [
    { path: 'embedding.weight', name: 'token_emb.weight' },
    ...norm('body.layers.{i}.mixerNorm', 'layers.{i}.0.norm'),
    { path: 'body.layers.{i}.mixer.qProj.weight', name: 'layers.{i}.0.to_q.weight' },
    ...halves(
      ['body.layers.{i}.mixer.kProj.weight', 'body.layers.{i}.mixer.vProj.weight'],
      'layers.{i}.0.to_kv.weight',
      config.dHead,
    ),
    { path: 'body.layers.{i}.mixer.oProj.weight', name: 'layers.{i}.0.to_out.weight' },
    ...scales('body.layers.{i}.mixer.similarity', 'layers.{i}.0.attn'),
    ...config.recurrentLayers.flatMap((_, n) => container(config, n)),
    ...norm('body.layers.{i}.mlpNorm', 'layers.{i}.1.0'),
    ...halves(
      ['body.layers.{i}.mlp.upProj.weight', 'body.layers.{i}.mlp.gateProj.weight'],
      'layers.{i}.1.1.weight',
      config.dInner,
    ),
    { path: 'body.layers.{i}.mlp.downProj.weight', name: 'layers.{i}.1.3.weight' },
    ...norm('norm', 'to_logits.0'),
    { path: 'head.weight', name: 'to_logits.1.weight' },
  ],
}
