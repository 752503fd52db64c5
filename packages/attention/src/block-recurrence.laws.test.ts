import { FeedForward, normalInit, RMSNorm, Rng } from '@mneme/core-tensor'
import { describeMixer } from '@mneme/testing'
import { BlockAttention, BlockRecurrence, type BlockRecurrenceOptions } from './block-recurrence.js'
import { T5Bias } from './position-bias.js'
import { RecurrentVectors, type RecurrentVectorsOptions } from './recurrent-vectors.js'
import type { SimilarityKind } from './similarity.js'
import { XPos } from './xpos.js'

const [D, H, K, W] = [6, 2, 4, 3]
const projection = { bias: false, init: normalInit(0.5) }

interface Variant {
  readonly vectors: Partial<RecurrentVectorsOptions>
  readonly recurrence: Partial<BlockRecurrenceOptions>
  /** The sets that each layer reads. */
  readonly reads: readonly (readonly number[])[]
  readonly strict?: boolean
  readonly xpos?: boolean
  readonly similarity?: SimilarityKind
}

const variants: Readonly<Record<string, Variant>> = {
  'fixed gate, as in the paper': { vectors: {}, recurrence: {}, reads: [[], [0]] },
  'feed-forward and two gates, fed back': {
    vectors: { update: 'dual', gate: 'lstm' },
    recurrence: { segment: Number.POSITIVE_INFINITY },
    reads: [[0], [0]],
  },
  'feed-forward and one gate, itself seen': {
    vectors: { update: 'single', gate: 'full' },
    recurrence: { sees: 'block' },
    reads: [[], [0]],
    strict: false,
  },
  'two sets, read below, shared keys': {
    vectors: { gate: 'projected', nKvHeads: 1, similarity: 'channels' },
    recurrence: { writers: [1, 1], sees: 'block', segment: 9 },
    reads: [[0, 1], []],
    xpos: true,
    similarity: 'dot',
  },
}

for (const [name, variant] of Object.entries(variants)) {
  describeMixer(`BlockRecurrence: ${name}`, (seed) => make(variant, new Rng(seed)), D)
}

function make({ vectors, recurrence, reads, strict = true, xpos = false, similarity }: Variant, rng: Rng) {
  const sizes = { dModel: D, nHeads: H, nKvHeads: vectors.nKvHeads ?? H, dHead: K, projection }
  const norm = () => new RMSNorm(D)
  const layers = reads.map((sets) => ({
    mixer: new BlockAttention(
      {
        ...sizes,
        block: W,
        strict,
        positions: xpos ? new XPos(K, W) : new T5Bias({ nHeads: H, buckets: 4, maxDistance: 8 }, rng),
        similarity: similarity ?? 'cosine',
        reads: sets,
        readSimilarity: vectors.similarity ?? 'cosine',
      },
      rng,
    ),
    mixerNorm: norm(),
    mlp: new FeedForward(D, 5, rng, projection),
    mlpNorm: norm(),
  }))
  const options = { segment: 6, writers: [1], sees: 'window', ...recurrence } as const
  const sets = options.writers.map(
    () =>
      new RecurrentVectors(
        { ...sizes, vectors: 2, update: 'skip', dInner: 5, gate: 'fixed', similarity: 'cosine', norm, ...vectors },
        rng,
      ),
  )
  return new BlockRecurrence(layers, sets, options)
}
