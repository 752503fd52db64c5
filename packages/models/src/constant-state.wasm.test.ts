import { BlockAttention, BlockRecurrence, RecurrentVectors, SoftmaxAttention, T5Bias } from '@mneme/attention'
import {
  advance,
  disposeState,
  normal,
  parameter,
  RMSNorm,
  Rng,
  residualStack,
  type SequenceMixer,
  type State,
  segmentRecurrent,
  stateBytes,
} from '@mneme/core-tensor'
import {
  AssociativeLayer,
  AssociativeLayers,
  AssociativeMemory,
  CompressiveMemory,
  KnnAttention,
  MemoryAsContext,
  MemoryAsGate,
  MemoryAsLayer,
  MemoryShift,
  NeuralMemory,
  TrailingTokens,
} from '@mneme/memory'
import { slice } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { mixers } from './mixers.js'

const D = 16
const FEW = 100
/** Whole segments of 32 and of 500 tokens; every memory, store and window here is full by then. */
const FULL = 16_000
const MANY = 100_000
const PIECE = 10_000
/** Of mixers that hold scores or features of all tokens of a call. */
const SMALL_PIECE = 500
/** Tokens of a segment where 100,000 in segments of 16 would be thousands of small steps, and minutes. */
const segment = 500
const normEps = 1e-5

const headed = { dModel: D, nHeads: 1, dHead: D }
const softmax = (rng: Rng): SequenceMixer =>
  new SoftmaxAttention({ ...headed, nKvHeads: 1, window: 16, rotary: null }, rng)
const neural = (rng: Rng): NeuralMemory =>
  new NeuralMemory(
    {
      ...headed,
      depth: 2,
      expansion: 2,
      innerNorm: false,
      lossReduction: 'sum',
      chunk: 50,
      momentum: true,
      maxLr: 0.001,
      convWidth: 4,
      normEps,
    },
    rng,
  )
const compressive = (rng: Rng): SequenceMixer => {
  const [content, position] = [0, 1].map(() => parameter(normal(rng, [1, D], 0.02)))
  return new CompressiveMemory(
    { ...headed, segment, memory: segment, compressed: segment, rate: 4, compression: 'conv', cut: true },
    { content, position } as ConstructorParameters<typeof CompressiveMemory>[1],
    rng,
  ) as unknown as SequenceMixer
}

/** Mixers that go segment by segment through ops of tfjs, here with one head and longer segments. */
const inLongSegments: Readonly<Record<string, (rng: Rng) => unknown>> = {
  'block recurrence': (rng) => {
    const sizes = { ...headed, nKvHeads: 1 }
    const kinds = { similarity: 'cosine', readSimilarity: 'cosine' } as const
    const positions = new T5Bias({ nHeads: 1, buckets: 32, maxDistance: 32 }, rng)
    const mixer = new BlockAttention({ ...sizes, ...kinds, block: 100, strict: false, positions, reads: [0] }, rng)
    const update = { update: 'skip', dInner: D, gate: 'fixed', similarity: 'cosine' } as const
    const vectors = new RecurrentVectors({ ...sizes, ...update, vectors: 8, norm: () => new RMSNorm(D) }, rng)
    return new BlockRecurrence([{ mixer }], [vectors], { segment, writers: [0], sees: 'window' })
  },
  'neural memory': neural,
  'memory as context': (rng) =>
    new MemoryAsContext(neural(rng), { ...headed, segment: 100, persistent: 4, ropeBase: 10000, normEps }, rng),
  'memory as gate': (rng) => new MemoryAsGate(neural(rng) as never, softmax(rng), { dModel: D, normEps }),
  'memory as layer': (rng) => new MemoryAsLayer(neural(rng) as never, softmax(rng), D),
  compressive,
  'memory shift, two layers': (rng) =>
    new MemoryShift(residualStack([0, 1].map(() => ({ mixer: compressive(rng) }))), {
      dModel: D,
      segment,
      layers: [0, 1],
    }),
  'associative layers': (rng) => {
    const memory = new AssociativeMemory({ dModel: D, dKey: D, rolls: 3, correction: true }, rng)
    const stack = residualStack([{ mixer: softmax(rng) }]) as unknown as SequenceMixer
    const inner = new AssociativeLayers([new AssociativeLayer(memory, stack)]) as unknown as SequenceMixer
    const backprop = Number.POSITIVE_INFINITY
    return segmentRecurrent(inner, new TrailingTokens(4, D, rng), { length: segment, backprop })
  },
  'nearest neighbours': (rng) =>
    new KnnAttention({ ...headed, segment, window: segment, capacity: 1_000, neighbours: 4, temperature: 20 }, rng),
}

/** Those that hold scores or features of all tokens of a call. */
const inSmallPieces: ReadonlySet<string> = new Set([
  'softmax, window 32',
  'linear, Taylor',
  'linear, FAVOR+',
  'latte',
  'arelit',
  'pooled neural memory',
  'artificial hippocampus',
  'relative, segments of 32',
  'persistent',
  'infini',
  'memory tokens',
  'memory prefix',
  'memory bank',
  'memory hops',
])

/**
 * 100,000 tokens take minutes, since each goes through some forty ops of tfjs: `npm run long:state` feeds them. Its state
 * has no segments: what it takes after 128 tokens, and after 96 more, is what it always takes.
 */
const tokenByToken: ReadonlySet<string> = new Set(['turing memory'])

/** Bytes of the state of one row, measured after each of these numbers of tokens. */
function measured(mixer: SequenceMixer, lengths: readonly number[], most = PIECE): number[] {
  const x = normal(new Rng(2), [1, most, D], 1)
  let state: State = mixer.initialState(1)
  let done = 0
  const bytes = lengths.map((length) => {
    while (done < length) {
      const size = Math.min(most, length - done)
      const piece = slice(x, [0, 0, 0], [1, size, D])
      state = advance(state, () => ({ state: mixer.forward(piece, state).state })).state
      piece.dispose()
      done += size
    }
    return stateBytes(state)
  })
  disposeState(state)
  x.dispose()
  return bytes
}

const bounded = Object.entries(mixers).flatMap(([name, make]) => {
  const mixer = make(D, new Rng(1))
  const { constantState } = mixer.traits
  mixer.dispose()
  return constantState ? [[name, make] as const] : []
})

const named = [...Object.keys(inLongSegments), ...inSmallPieces, ...tokenByToken]

describe('state of mixers that say it is bounded', () => {
  test.each(bounded.filter(([name]) => !named.includes(name)))(
    '%s: fed 100,000 tokens it takes what it took after 100',
    (_, make) => {
      const mixer = make(D, new Rng(1))
      const [few, many] = measured(mixer, [FEW, MANY])
      expect(many).toBe(few)
      expect(mixer.stateBytes(MANY)).toBe(many)
      mixer.dispose()
    },
  )

  const onceFull = (mixer: SequenceMixer): void => {
    const [full, many] = measured(mixer, [FULL, MANY], SMALL_PIECE)
    expect(many).toBe(full)
    expect(mixer.stateBytes(MANY)).toBe(many)
    mixer.dispose()
  }

  test.each(bounded.filter(([name]) => inSmallPieces.has(name)))(
    '%s: fed 100,000 tokens it takes what it took once it was full',
    (_, make) => onceFull(make(D, new Rng(1))),
  )

  test.each(Object.entries(inLongSegments))(
    '%s, in longer segments: fed 100,000 tokens it takes what it took once it was full',
    (_, make) => onceFull(make(new Rng(1)) as SequenceMixer),
  )

  test.each(bounded.filter(([name]) => tokenByToken.has(name)))(
    '%s: 96 tokens later it takes as much, and what it says for 100,000 tokens',
    (_, make) => {
      const mixer = make(D, new Rng(1))
      const [once, later] = measured(mixer, [128, 224])
      expect(later).toBe(once)
      expect(mixer.stateBytes(MANY)).toBe(later)
      mixer.dispose()
    },
  )

  test('whatever is named above is there', () => {
    expect(bounded.map(([name]) => name)).toEqual(expect.arrayContaining(named))
  })
})
