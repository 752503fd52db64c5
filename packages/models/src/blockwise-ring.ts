import { type AttentionSchedule, BlockwiseAttention } from '@mneme/attention/blockwise-attention'
import {
  Blockwise,
  type CheckpointLayout,
  type LanguageModel,
  normalInit,
  type Paper,
  RMSNorm,
  ropeStretch,
  SwiGLU,
  withDefaults,
} from '@mneme/core-tensor'
import { decoder } from './decoder.js'
import { ifUsed } from './if-used.js'
import {
  type LlamaConfig,
  llamaBuffers,
  llamaDefaults,
  llamaNames,
  llamaTiny,
  publishLlama,
  readLlama,
} from './llama.js'
import { numberOf, oneOf } from './published.js'
import { vectors } from './recipes.js'

/** A Llama, computed in blocks; it has no window and no stretched positions. */
export interface BlockwiseRingConfig extends LlamaConfig {
  /** Blocks one after the other, or shared out over a ring of devices. */
  readonly schedule: 'blockwise' | 'ring'
  readonly queryBlock: number
  readonly keyBlock: number
  /** Of the ring. */
  readonly devices: number
  /** Tokens that the feed-forward takes at a time. */
  readonly mlpBlock: number
}

function build(config: BlockwiseRingConfig): LanguageModel {
  const { dModel, nHeads, nKvHeads, dHead, dInner, normEps, ropeBase, ropeScaling, mlpBlock } = config
  const init = normalInit(config.initStd)
  const { queryBlock, keyBlock, devices } = config
  const schedule: AttentionSchedule =
    config.schedule === 'ring' ? { kind: 'ring', devices } : { kind: 'blockwise', queryBlock, keyBlock }
  const rotary = { dims: dHead, base: ropeBase, stretch: ropeStretch(ropeScaling) }
  const projection = { bias: config.attentionBias, init }
  const attention = { dModel, nHeads, nKvHeads, dHead, rotary, schedule, projection }
  if (config.window > 0) throw new RangeError(`blockwise-ring window: expected 0, got ${config.window}.`)
  return decoder(config, {
    embeddingStd: config.initStd,
    headStd: config.initStd,
    norm: new RMSNorm(dModel, normEps),
    layer: (_, rng) => ({
      mixerNorm: new RMSNorm(dModel, normEps),
      mixer: new BlockwiseAttention(attention, rng),
      mlpNorm: new RMSNorm(dModel, normEps),
      mlp: new Blockwise(new SwiGLU(dModel, dInner, rng, { bias: config.mlpBias, init }), mlpBlock),
    }),
  })
}

const defaults: BlockwiseRingConfig = /* @__PURE__ */ ifUsed(() => ({
  ...llamaDefaults,
  schedule: 'blockwise',
  queryBlock: 512,
  keyBlock: 512,
  devices: 4,
  mlpBlock: 512,
}))

const tiny: BlockwiseRingConfig = /* @__PURE__ */ ifUsed(() => ({
  ...defaults,
  ...llamaTiny,
  queryBlock: 3,
  keyBlock: 4,
  mlpBlock: 5,
}))

/** Small configurations of what `tiny` does not reach, by name, for the laws. */
export const moreTiny: Readonly<Record<string, BlockwiseRingConfig>> = /* @__PURE__ */ ifUsed(() => ({
  'a ring': { ...tiny, schedule: 'ring', devices: 3 },
}))

/** The weights of any Llama; how they are computed with is not stored by others, and has keys of its own. */
const checkpoint: CheckpointLayout<BlockwiseRingConfig> = {
  modelTypes: ['llama'],
  config: (published) => ({
    ...readLlama(published),
    schedule: oneOf(published, 'attention_schedule', ['blockwise', 'ring'], defaults.schedule),
    queryBlock: numberOf(published, 'query_chunk_size', defaults.queryBlock),
    keyBlock: numberOf(published, 'key_chunk_size', defaults.keyBlock),
    devices: numberOf(published, 'ring_devices', defaults.devices),
    mlpBlock: numberOf(published, 'ffn_chunk_size', defaults.mlpBlock),
  }),
  publish: (config) => ({
    model_type: 'llama',
    architectures: ['LlamaForCausalLM'],
    ...publishLlama(config),
    attention_schedule: config.schedule,
    query_chunk_size: config.queryBlock,
    key_chunk_size: config.keyBlock,
    ring_devices: config.devices,
    ffn_chunk_size: config.mlpBlock,
  }),
  names: () => llamaNames().map((rule) => ({ ...rule, path: rule.path.replace('.mlp.', '.mlp.inner.') })),
  ignore: llamaBuffers,
}

/**
 * Blockwise parallel transformers and ring attention: arXiv:2305.19370 and arXiv:2310.01889. `config` is laid over
 * the defaults.
 *
 * @throws RangeError for a key that does not exist
 */
export function blockwiseRing(config: Partial<BlockwiseRingConfig> = {}): LanguageModel {
  return build(withDefaults('blockwiseRing', defaults, config))
}

const paper: Paper<BlockwiseRingConfig, LanguageModel> = {
  card: {
    key: 'blockwise-ring',
    title: 'Ring Attention with Blockwise Transformers for Near-Infinite Context',
    authors: 'Liu, Zaharia, Abbeel',
    year: 2023,
    arxiv: '2310.01889',
    kind: 'language model',
    family: 'attention',
    equation:
      '\\ell = \\ln(e^{\\ell_1} + e^{\\ell_2}), \\quad o = e^{\\ell_1 - \\ell} o_1 + e^{\\ell_2 - \\ell} o_2 \\quad \\text{over blocks of keys}',
    state: 'keys and values of every token, 2 G K T values a layer; of a ring each device holds its share',
    cost: 'O(D² + T H K)',
    differs: [
      'A decoder in the form of Llama, whose checkpoints it reads. The devices of the ring are in one process.',
      'Attention and feed-forward run in blocks one after the other, not as one loop over blocks of queries.',
      'The feed-forward is computed again in the backward pass; attention keeps its outputs and log sums.',
    ],
    claim:
      'The numbers of the plain transformer, values and gradients, for any blocks and any ring; memory of training grows with T and not with T times the inner width.',
  },
  config: defaults,
  tiny,
  recipe: { lr: 3e-3, weightDecay: 0.1, groups: [vectors] },
  build,
  checkpoint,
}

export default paper
