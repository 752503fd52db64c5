import {
  Embedding,
  FeedForward,
  gelu,
  LanguageModel,
  LayerNorm,
  type LayerParts,
  Linear,
  normal,
  normalInit,
  type Paper,
  parameter,
  Rng,
  relu,
  residualStack,
  SwiGLU,
  withDefaults,
} from '@mneme/core-tensor'
import { CompressiveMemory, type CompressiveMemoryOptions } from '@mneme/memory/compressive-memory'
import { MemoryShift } from '@mneme/memory/memory-shift'
import { GruCell } from '@mneme/memory/memory-slots'
import { checkpoint } from './compressive-checkpoint.js'
import { type DecoderConfig, decoder } from './decoder.js'
import { ifUsed } from './if-used.js'
import { vectors } from './recipes.js'

export interface CompressiveTransformerConfig extends DecoderConfig {
  /** `port`: the public PyTorch model, with its own positions, norms and gates. */
  readonly form: 'paper' | 'port'
  readonly nHeads: number
  readonly dHead: number
  readonly dInner: number
  /** Tokens of a segment. */
  readonly segment: number
  /** Latest tokens that each layer remembers as they are. */
  readonly memory: number
  /** Slots for older ones. */
  readonly compressed: number
  /** Tokens that go into one slot. */
  readonly rate: number
  /** A convolution learns from the reconstruction loss that a pass records; of the port it is the only kind. */
  readonly compression: 'max' | 'mean' | 'conv'
  /** Whether gradients are cut between segments. */
  readonly cut: boolean
  readonly normEps: number
  readonly initStd: number
  readonly port: PortConfig
}

/** What only the port has. */
export interface PortConfig {
  /** Layers that remember, counted from 0; null for all. */
  readonly memoryLayers: readonly number[] | null
  /** Whether each layer reads what the next one remembered. */
  readonly shift: boolean
  /** Branches join the stream by a gated cell rather than a sum. */
  readonly gated: boolean
  /** A gated feed-forward. */
  readonly glu: boolean
  /** Width of token vectors, which are mapped to that of the model; 0 for that itself. */
  readonly dEmbedding: number
  /** The published code pads rows that the rate does not divide by the wrong number of zeros, and loses the last. */
  readonly dropsTail: boolean
}

const optionsOf = (config: CompressiveTransformerConfig): CompressiveMemoryOptions => ({
  ...config,
  projection: { bias: false, init: normalInit(config.initStd) },
})

function build(config: CompressiveTransformerConfig): LanguageModel {
  if (config.form === 'port') return buildPort(config)
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
      mixer: new CompressiveMemory(optionsOf(config), biases, layerRng),
      mixerNorm: new LayerNorm(dModel, normEps),
      mlp: new FeedForward(dModel, dInner, layerRng, { init }, relu),
      mlpNorm: new LayerNorm(dModel, normEps),
    }),
  })
}

function buildPort(config: CompressiveTransformerConfig): LanguageModel {
  const { vocabulary, dModel, nLayers, nHeads, dHead, dInner, segment, memory, compressed, normEps, initStd } = config
  const { memoryLayers, shift, gated, glu, dEmbedding, dropsTail } = config.port
  const rng = new Rng(config.seed)
  const rows = segment + memory + compressed
  const table = parameter(normal(rng.fork('positions'), [nHeads, rows, dHead], initStd))
  const remembering = memoryLayers ?? Array.from({ length: nLayers }, (_, i) => i)
  const layer = (i: number, own: Rng): LayerParts => {
    // the table counts on the memory of the layers that have one
    const none = remembering.includes(i) ? {} : { memory: 0, compressed: 0, shared: { memory, compressed } }
    const options = { ...optionsOf(config), projection: { bias: false }, outputBias: true, dropsTail, ...none } as const
    return {
      mixer: new CompressiveMemory({ ...options, compression: 'conv' }, { table }, own),
      mixerNorm: new LayerNorm(dModel, normEps),
      mixerJoin: gated ? new GruCell(dModel, own) : null,
      mlp: glu ? new SwiGLU(dModel, dInner, own, { bias: true }, gelu) : new FeedForward(dModel, dInner, own),
      mlpNorm: new LayerNorm(dModel, normEps),
      mlpJoin: gated ? new GruCell(dModel, own) : null,
    }
  }
  const stack = residualStack(Array.from({ length: nLayers }, (_, i) => layer(i, rng.fork(`layer ${i}`))))
  const E = dEmbedding || dModel
  return new LanguageModel({
    embedding: new Embedding(vocabulary, E, rng.fork('embedding'), 1),
    embeddingNorm: E === dModel ? null : new Linear(E, dModel, rng.fork('in')),
    body: shift ? new MemoryShift(stack, { dModel, segment, layers: remembering }) : stack,
    norm: E === dModel ? null : new Linear(dModel, E, rng.fork('out')),
    head: new Linear(E, vocabulary, rng.fork('head')),
  })
}

const tiny: CompressiveTransformerConfig = {
  form: 'paper',
  vocabulary: 13,
  dModel: 6,
  nLayers: 2,
  nHeads: 2,
  dHead: 4,
  dInner: 8,
  segment: 5,
  memory: 3,
  compressed: 3,
  rate: 2,
  compression: 'mean',
  cut: true,
  normEps: 1e-5,
  initStd: 0.4,
  tieEmbeddings: true,
  port: { memoryLayers: null, shift: true, gated: true, glu: false, dEmbedding: 0, dropsTail: true },
  seed: 0,
}

const tinyPort: CompressiveTransformerConfig = /* @__PURE__ */ ifUsed(() => ({
  ...tiny,
  form: 'port',
  dHead: 3,
  dInner: 24,
  segment: 2,
  memory: 2,
  compressed: 2,
  cut: false,
  compression: 'conv',
  tieEmbeddings: false,
}))

/** What `tiny` leaves out. */
export const moreTiny: Readonly<Record<string, CompressiveTransformerConfig>> = /* @__PURE__ */ ifUsed(() => ({
  'convolution that the task trains': { ...tiny, compression: 'conv', cut: false, segment: 3, tieEmbeddings: false },
  port: tinyPort,
  'port, every option the other way': {
    ...tinyPort,
    port: { ...tiny.port, shift: false, gated: false, glu: true, dEmbedding: 4 },
  },
  'port, some layers remember': {
    ...tinyPort,
    nLayers: 3,
    memory: 3,
    rate: 3,
    port: { ...tiny.port, memoryLayers: [0, 2], dropsTail: false },
  },
}))

const defaults: CompressiveTransformerConfig = /* @__PURE__ */ ifUsed(() => ({
  ...tiny,
  vocabulary: 256,
  dModel: 64,
  nHeads: 4,
  dHead: 16,
  dInner: 256,
  segment: 32,
  memory: 32,
  compressed: 32,
  rate: 4,
  initStd: 0.02,
}))

/**
 * Compressive Transformer: Rae et al. 2019, arXiv:1911.05507. `config` is laid over the defaults.
 *
 * @throws RangeError for a key that does not exist
 */
export function compressiveTransformer(config: Partial<CompressiveTransformerConfig> = {}): LanguageModel {
  return build(withDefaults('compressiveTransformer', defaults, config))
}

const paper: Paper<CompressiveTransformerConfig, LanguageModel> = {
  card: {
    key: 'compressive-transformer',
    title: 'Compressive Transformers for Long-Range Sequence Modelling',
    authors: 'Rae, Potapenko, Jayakumar, Lillicrap',
    year: 2019,
    arxiv: '1911.05507',
    kind: 'language model',
    family: 'memory',
    equation:
      '\\text{cm} \\leftarrow \\text{last}_{n_{cm}}[\\text{cm}; f_c(\\text{old})], \\quad \\text{m} \\leftarrow \\text{last}_{n_m}[\\text{m}; h], \\quad o = \\operatorname{Attn}(h; [\\text{cm}; \\text{m}; h])',
    state: 'n_cm slots, inputs of the last n_m tokens and of the open segment, (n_cm + n_m + L) D values a layer',
    cost: 'O(D² + (L + n_m + n_cm) D)',
    differs: [
      'Means of rows are the default compression: a convolution is trained by the reconstruction loss alone, which a pass records for whoever trains to add.',
      'A plain softmax over the vocabulary, without the adaptive bands of the word-level models.',
      'Dilated convolutions, most-used slots and the auto-encoding loss are left out.',
      'form "port": the public PyTorch model, whose checkpoints load.',
    ],
    claim:
      'Recall of a token seen 4 to 8 segments ago, 2 layers, n_m + n_cm equal: solved with slots, at chance for Transformer-XL, which does not see that far.',
  },
  config: defaults,
  tiny,
  recipe: {
    lr: 3e-3,
    weightDecay: 0.01,
    groups: [
      vectors,
      { match: /\.(content|position|conv)Bias$|^headBias$|\.positionTable$|\.bias(Ih|Hh)$/, weightDecay: 0 },
    ],
  },
  build,
  checkpoint,
}

export default paper
