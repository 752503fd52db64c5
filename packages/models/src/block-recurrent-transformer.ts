import { BlockAttention, BlockRecurrence } from '@mneme/attention/block-recurrence'
import { T5Bias } from '@mneme/attention/position-bias'
import { RecurrentVectors, type RecurrentVectorsOptions } from '@mneme/attention/recurrent-vectors'
import { XPos } from '@mneme/attention/xpos'
import {
  Embedding,
  FeedForward,
  gelu,
  LanguageModel,
  LayerNorm,
  Linear,
  type LinearOptions,
  normalInit,
  type Paper,
  RMSNorm,
  Rng,
  relu,
  SwiGLU,
  type TokenMap,
  withDefaults,
} from '@mneme/core-tensor'
import { checkpoint } from './block-recurrent-checkpoint.js'
import type { DecoderConfig } from './decoder.js'
import { ifUsed } from './if-used.js'
import { vectors } from './recipes.js'

export interface BlockRecurrentConfig extends DecoderConfig {
  /** `port`: the public PyTorch model, with its own positions, norms, sharing of keys, gate and feed-forward. */
  readonly form: 'paper' | 'port'
  readonly nHeads: number
  readonly dHead: number
  readonly dInner: number
  /** Tokens of a block, W. */
  readonly block: number
  /** Tokens after which gradients are cut. */
  readonly segment: number
  /** Vectors of a recurrent layer, M. */
  readonly vectors: number
  /** Layers that rewrite vectors, counted from 0. */
  readonly recurrentLayers: readonly number[]
  /** For each of them, the layer that reads its vectors: itself, or one below. */
  readonly readLayers: readonly number[]
  /** Whether all layers read all vectors; of the paper's form. */
  readonly feedback: boolean
  readonly update: 'skip' | 'dual' | 'single'
  /** Of the paper's form; the port projects, and opens the same way for every block. */
  readonly gate: 'fixed' | 'lstm' | 'full'
  readonly buckets: number
  readonly maxDistance: number
  /** Whether layers without vectors scale queries and keys too; of the port. */
  readonly scaleAll: boolean
}

/** What the two forms do differently in every layer. */
interface Form {
  readonly norm: () => TokenMap
  readonly mlp: (rng: Rng) => TokenMap
  readonly projection: LinearOptions
  readonly nKvHeads: number
  readonly vectors: Pick<RecurrentVectorsOptions, 'update' | 'gate' | 'similarity'>
}

function formOf(config: BlockRecurrentConfig): Form {
  const { form, dModel, dInner, nHeads, update, gate } = config
  if (form === 'port') {
    return {
      norm: () => new LayerNorm(dModel, 1e-5, { bias: 'fixed' }),
      mlp: (rng) => new SwiGLU(dModel, dInner, rng, { bias: false }, gelu),
      projection: { bias: false },
      nKvHeads: 1,
      vectors: { update: 'skip', gate: 'projected', similarity: 'channels' },
    }
  }
  const projection = { bias: false, init: normalInit(dModel ** -0.5) }
  return {
    norm: () => new RMSNorm(dModel),
    mlp: (rng) => new FeedForward(dModel, dInner, rng, projection, relu),
    projection,
    nKvHeads: nHeads,
    vectors: { update, gate, similarity: 'cosine' },
  }
}

function build(config: BlockRecurrentConfig): LanguageModel {
  const { vocabulary, dModel, nLayers, nHeads, dHead, dInner, block, segment, recurrentLayers } = config
  const port = config.form === 'port'
  const rng = new Rng(config.seed)
  const { norm, mlp, projection, nKvHeads, vectors } = formOf(config)
  const sizes = { dModel, nHeads, nKvHeads, dHead, projection }
  const layers = Array.from({ length: nLayers }, (_, i) => {
    const own = rng.fork(`layer ${i}`)
    const scaled = config.scaleAll || recurrentLayers.includes(i)
    const mixer = new BlockAttention(
      {
        ...sizes,
        block,
        strict: !port,
        positions: port ? new XPos(dHead, block) : new T5Bias(config, own),
        similarity: port ? (scaled ? 'channels' : 'dot') : 'cosine',
        reads: readsOf(config, i),
        readSimilarity: vectors.similarity,
      },
      own,
    )
    return { mixer, mixerNorm: norm(), mlp: mlp(own), mlpNorm: norm() }
  })
  const sets = recurrentLayers.map(
    (i) =>
      new RecurrentVectors({ ...sizes, ...vectors, vectors: config.vectors, dInner, norm }, rng.fork(`vectors ${i}`)),
  )
  return new LanguageModel({
    embedding: new Embedding(vocabulary, dModel, rng.fork('embedding'), 1),
    body: new BlockRecurrence(layers, sets, { segment, writers: recurrentLayers, sees: port ? 'block' : 'window' }),
    norm: norm(),
    head: config.tieEmbeddings ? null : new Linear(dModel, vocabulary, rng.fork('head'), { bias: false }),
  })
}

/** The sets of vectors that a layer reads. */
export function readsOf(
  { form, feedback, recurrentLayers, readLayers }: BlockRecurrentConfig,
  layer: number,
): number[] {
  const below = readLayers.every((read, n) => read >= 0 && read <= (recurrentLayers[n] ?? -1))
  if (readLayers.length !== recurrentLayers.length || !below) {
    throw new RangeError(
      `block-recurrent-transformer readLayers: expected for each of the layers ${recurrentLayers.join(', ')} itself or one below, got ${readLayers.join(', ')}.`,
    )
  }
  const all = readLayers.map((_, n) => n)
  return form === 'paper' && feedback ? all : all.filter((n) => readLayers[n] === layer)
}

const tiny: BlockRecurrentConfig = {
  form: 'paper',
  vocabulary: 13,
  dModel: 6,
  nLayers: 2,
  nHeads: 2,
  dHead: 4,
  dInner: 8,
  block: 3,
  segment: 6,
  vectors: 2,
  recurrentLayers: [1],
  readLayers: [1],
  feedback: false,
  update: 'skip',
  gate: 'fixed',
  buckets: 4,
  maxDistance: 8,
  scaleAll: false,
  tieEmbeddings: false,
  seed: 0,
}

/** What `tiny` leaves out. */
export const moreTiny: Readonly<Record<string, BlockRecurrentConfig>> = /* @__PURE__ */ ifUsed(() => ({
  'two gates, fed back': { ...tiny, update: 'dual', gate: 'lstm', feedback: true, tieEmbeddings: true },
  'feed-forward and one gate': { ...tiny, update: 'single', gate: 'full', recurrentLayers: [0], readLayers: [0] },
  port: { ...tiny, form: 'port', segment: 9 },
  'port, read below, all scaled': { ...tiny, form: 'port', readLayers: [0], scaleAll: true },
}))

const defaults: BlockRecurrentConfig = /* @__PURE__ */ ifUsed(() => ({
  ...tiny,
  vocabulary: 256,
  dModel: 64,
  nLayers: 4,
  nHeads: 4,
  dHead: 16,
  dInner: 256,
  block: 16,
  segment: 128,
  vectors: 16,
  recurrentLayers: [2],
  readLayers: [2],
  buckets: 32,
  maxDistance: 128,
}))

/**
 * Block-Recurrent Transformer: Hutchins et al. 2022, arXiv:2203.07852. `config` is laid over the defaults.
 *
 * @throws RangeError for a key that does not exist
 */
export function blockRecurrentTransformer(config: Partial<BlockRecurrentConfig> = {}): LanguageModel {
  return build(withDefaults('blockRecurrentTransformer', defaults, config))
}

const paper: Paper<BlockRecurrentConfig, LanguageModel> = {
  card: {
    key: 'block-recurrent-transformer',
    title: 'Block-Recurrent Transformers',
    authors: 'Hutchins, Schlag, Wu, Dyer, Neyshabur',
    year: 2022,
    arxiv: '2203.07852',
    kind: 'language model',
    family: 'attention',
    equation:
      "c' = \\sigma(b) \\odot c + (1 - \\sigma(b)) \\odot W_o [\\operatorname{Attn}(c; c) \\,\\|\\, \\operatorname{Attn}(c; x)], \\quad y = W_o [\\operatorname{Attn}(x; x) \\,\\|\\, \\operatorname{Attn}(x; c)]",
    state: 'keys and values of two blocks, 4 W H K values a layer; M D values a recurrent layer',
    cost: 'O(D² + (W + M) H K)',
    differs: [
      "The table of biases by distance is a layer's own, and has buckets for the past only.",
      'What a head finds among vectors and among tokens stands side by side in front of the output matrix, as in the public PyTorch model: an order of columns.',
      'A document does not start the vectors anew within a row.',
      'form "port": the public PyTorch model, whose checkpoints load. Its gate weighs the new value, every block is seen whole and causally, and vectors look at the newest block only.',
    ],
    claim:
      'Copying a key over 4 to 8 blocks, W = M = 16, D = 64, 4 layers: at chance for the same model without vectors, whose layers see 4 blocks back, and solved with them.',
  },
  config: defaults,
  tiny,
  recipe: {
    lr: 1e-3,
    weightDecay: 0.01,
    groups: [
      vectors,
      { match: /\.(initial|positions|headScale|queryScale|keyScale)$|\.distanceBias\./, weightDecay: 0 },
    ],
  },
  build,
  checkpoint,
}

export default paper
