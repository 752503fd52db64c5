import type { CheckpointLayout, NameRule } from '@mneme/core-tensor'
import type { CompressiveTransformerConfig } from './compressive-transformer.js'
import { flagOf, numberOf, type PublishedConfig } from './published.js'

function config(published: PublishedConfig): CompressiveTransformerConfig {
  if (flagOf(published, 'mogrify_gru', false)) {
    throw new RangeError('config.json mogrify_gru: expected false, got true: gates are not mogrified here.')
  }
  const [dModel, nLayers] = [numberOf(published, 'dim'), numberOf(published, 'depth')]
  const segment = numberOf(published, 'seq_len')
  const memory = numberOf(published, 'mem_len', segment)
  const rate = numberOf(published, 'cmem_ratio', 4)
  const nHeads = numberOf(published, 'heads', 8)
  const dEmbedding = numberOf(published, 'emb_dim', dModel)
  return {
    form: 'port',
    vocabulary: numberOf(published, 'num_tokens'),
    dModel,
    nLayers,
    nHeads,
    dHead: dModel / nHeads,
    dInner: 4 * dModel,
    segment,
    memory,
    compressed: numberOf(published, 'cmem_len', Math.floor(memory / rate)),
    rate,
    compression: 'conv',
    cut: true,
    normEps: 1e-5,
    initStd: 0.02,
    tieEmbeddings: false,
    port: {
      memoryLayers: layersOf(published, nLayers),
      shift: flagOf(published, 'enhanced_recurrence', true),
      gated: flagOf(published, 'gru_gated_residual', true),
      glu: flagOf(published, 'ff_glu', false),
      dEmbedding: dEmbedding === dModel ? 0 : dEmbedding,
      dropsTail: true,
    },
    seed: 0,
  }
}

/** Layers that remember, counted from 1 in the file; null where all do. */
function layersOf(published: PublishedConfig, nLayers: number): number[] | null {
  const value = published.memory_layers ?? null
  if (value === null) return null
  if (!Array.isArray(value) || !value.every(Number.isInteger)) {
    throw new TypeError(`config.json memory_layers: expected a list of layers, got ${JSON.stringify(value)}.`)
  }
  // the library goes through them in the order of the layers
  const layers = [...new Set(value.map((layer: number) => layer - 1))].sort((a, b) => a - b)
  return layers.length === nLayers ? null : layers
}

/** Maps of a cell of three gates. */
const cell = (path: string, name: string): NameRule[] => [
  { path: `${path}.weightIh`, name: `${name}.weight_ih` },
  { path: `${path}.weightHh`, name: `${name}.weight_hh` },
  { path: `${path}.biasIh`, name: `${name}.bias_ih` },
  { path: `${path}.biasHh`, name: `${name}.bias_hh` },
]

/** The public PyTorch model, lucidrains/compressive-transformer-pytorch. */
export const checkpoint: CheckpointLayout<CompressiveTransformerConfig> = {
  modelTypes: ['CompressiveTransformer'],
  // layers without memory have a convolution in the file, which nothing uses
  covers: ({ form, dModel, nHeads, dHead, dInner, compressed, port }) =>
    form === 'port' &&
    dModel === nHeads * dHead &&
    dInner === 4 * dModel &&
    compressed > 0 &&
    port.memoryLayers === null &&
    port.dropsTail,
  config,
  // the file has a convolution for every layer, also where nothing is compressed
  ignore: [/^attn_layers\.\d+\.fn\.fn\.compress_mem_fn\.conv\.(weight|bias)$/],
  publish: ({ port, ...config }) => ({
    reference: 'lucidrains/compressive-transformer-pytorch, compressive_transformer_pytorch.py, CompressiveTransformer',
    num_tokens: config.vocabulary,
    dim: config.dModel,
    seq_len: config.segment,
    depth: config.nLayers,
    ...(port.dEmbedding > 0 && { emb_dim: port.dEmbedding }),
    ...(port.memoryLayers !== null && { memory_layers: port.memoryLayers.map((layer) => layer + 1) }),
    enhanced_recurrence: port.shift,
    mem_len: config.memory,
    cmem_len: config.compressed,
    cmem_ratio: config.rate,
    heads: config.nHeads,
    gru_gated_residual: port.gated,
    mogrify_gru: false,
    ff_glu: port.glu,
  }),
  names({ dModel, dInner, port }): readonly NameRule[] {
    const layer = port.shift ? 'body.stack.layers.{i}' : 'body.layers.{i}'
    const [attention, mlp] = ['attn_layers.{i}.fn.fn', 'ff_layers.{i}.fn.fn']
    const mapped = port.dEmbedding > 0 && port.dEmbedding !== dModel
    const first = (kind: string): NameRule[] =>
      port.glu
        ? ['gateProj', 'upProj'].map((part, n) => ({
            path: `${layer}.mlp.${part}.${kind}`,
            name: `${mlp}.w1.${kind}`,
            rows: [n * dInner, (n + 1) * dInner, 2 * dInner],
          }))
        : [{ path: `${layer}.mlp.upProj.${kind}`, name: `${mlp}.w1.${kind}` }]
    return [
      { path: 'embedding.weight', name: 'token_emb.weight' },
      { path: `${layer}.mixer.positionTable`, name: 'pos_emb' },
      { path: `${layer}.mixer.qProj.weight`, name: `${attention}.to_q.weight` },
      { path: `${layer}.mixer.kvProj.weight`, name: `${attention}.to_kv.weight` },
      ...['weight', 'bias'].flatMap((kind): NameRule[] => [
        { path: `${layer}.mixer.oProj.${kind}`, name: `${attention}.to_out.${kind}` },
        { path: `${layer}.mixerNorm.${kind}`, name: `attn_layers.{i}.fn.norm.${kind}` },
        ...first(kind),
        { path: `${layer}.mlp.downProj.${kind}`, name: `${mlp}.w2.${kind}` },
        { path: `${layer}.mlpNorm.${kind}`, name: `ff_layers.{i}.fn.norm.${kind}` },
        ...(mapped
          ? [
              { path: `embeddingNorm.${kind}`, name: `to_model_dim.${kind}` },
              { path: `norm.${kind}`, name: `to_logits.0.${kind}` },
            ]
          : []),
        { path: `head.${kind}`, name: `to_logits.1.${kind}` },
      ]),
      { path: `${layer}.mixer.convWeight`, name: `${attention}.compress_mem_fn.conv.weight` },
      { path: `${layer}.mixer.convBias`, name: `${attention}.compress_mem_fn.conv.bias` },
      ...cell(`${layer}.mixerJoin`, 'attn_layers.{i}.gru'),
      ...cell(`${layer}.mlpJoin`, 'ff_layers.{i}.gru'),
    ]
  },
}
