import { affine, normal, RMSNorm, Rng, softmaxAttention, unitLength } from '@mneme/core-tensor'
import { read, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import {
  add,
  concat,
  fill,
  matMul,
  mul,
  ones,
  reshape,
  softmax,
  split,
  type Tensor,
  tensor1d,
  tensor4d,
  transpose,
  zerosLike,
} from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { BlockAttention, BlockRecurrence } from './block-recurrence.js'
import { T5Bias } from './position-bias.js'
import { type KeysAndValues, RecurrentVectors, type RecurrentVectorsOptions, VectorGate } from './recurrent-vectors.js'
import { XPos } from './xpos.js'

const [D, H, K, W, M] = [6, 2, 4, 3, 2]
const sizes = { dModel: D, nHeads: H, nKvHeads: H, dHead: K }
const never = { segment: Number.POSITIVE_INFINITY, sees: 'window' } as const

function attention(rng: Rng, reads: readonly number[] = []): BlockAttention {
  const positions = new T5Bias({ nHeads: H, buckets: 4, maxDistance: 8 }, rng)
  const kinds = { similarity: 'cosine', readSimilarity: 'cosine' } as const
  return new BlockAttention({ ...sizes, ...kinds, block: W, strict: true, positions, reads }, rng)
}

function vectorsOf(rng: Rng, options: Partial<RecurrentVectorsOptions> = {}): RecurrentVectors {
  const standard = { update: 'skip', gate: 'fixed', similarity: 'cosine' } as const
  const norm = () => new RMSNorm(D)
  return new RecurrentVectors({ ...sizes, ...standard, vectors: M, dInner: 5, norm, ...options }, rng)
}

/** A value for every head, query and key, `[1, H, T, T]`. */
function byPair(T: number, f: (distance: number, head: number) => number): Tensor {
  const values = Array.from({ length: H * T * T }, (_, n) =>
    f((Math.floor(n / T) % T) - (n % T), Math.floor(n / T / T)),
  )
  return tensor4d(values, [1, H, T, T])
}

describe('block recurrence', () => {
  test('a token sees the W before it, biases before the scale, and the first sees nothing', async () => {
    await within(async () => {
      const mixer = attention(new Rng(1))
      const T = 3 * W + 1
      const x = normal(new Rng(3), [2, T, D], 1)
      const scale = [0.5, -3]
      mixer.similarity.headScale?.assign(tensor1d(scale))
      const table = await read((mixer.distanceBias as T5Bias).table())
      const R = table.length / H
      const heads = (y: Tensor): Tensor => transpose(reshape(y, [2, T, H, K]), [0, 2, 1, 3])
      const q = unitLength(heads(mixer.qProj.forward(x)))
      const k = unitLength(heads(mixer.kProj.forward(x)))
      const bias = byPair(T, (d, h) => table[h * R + Math.min(Math.max(d, 0), R - 1)] as number)
      const scales = byPair(T, (_, h) => Math.abs(scale[h] as number))
      const scores = mul(add(matMul(q, k, false, true), bias), scales)
      const sees = (d: number): boolean => d >= 1 && d <= W
      const hidden = byPair(T, (d) => (sees(d) ? 0 : -1e9))
      const weights = mul(
        softmax(add(scores, hidden)),
        byPair(T, (d) => (sees(d) ? 1 : 0)),
      )
      const o = transpose(matMul(weights, heads(mixer.vProj.forward(x))), [0, 2, 1, 3])
      const { y } = new BlockRecurrence([{ mixer }], [], { ...never, writers: [] }).forward(x)
      const expected = add(x, mixer.oProj.forward(reshape(o, [2, T, H * K])))
      expectClose(await read(y), await read(expected), 1e-5, 'outputs')
    })
  })

  test('a fixed gate that keeps all: vectors stay as they start, and what is beyond the window is gone', async () => {
    await within(async () => {
      const rng = new Rng(1)
      const set = vectorsOf(rng)
      const recurrence = new BlockRecurrence([{ mixer: attention(rng, [0]) }], [set], { ...never, writers: [0] })
      const [x, other] = [normal(new Rng(2), [1, 2 * W, D], 1), normal(new Rng(3), [1, 2 * W, D], 1)]
      const after = async (first: Tensor): Promise<Float32Array> =>
        read(recurrence.forward(x, recurrence.forward(concat([first, x], 1)).state).y)
      const apart = (a: Float32Array, b: Float32Array): number =>
        Math.max(...a.map((v, i) => Math.abs(v - (b[i] as number))))
      expect(apart(await after(other), await after(x))).toBeGreaterThan(1e-3)
      set.gate.bias?.assign(fill([D], 100))
      const { state } = recurrence.forward(x)
      expectClose(await read(state.vectors[0] as Tensor), await read(set.initialState(1)), 1e-6, 'vectors')
      expectClose(await after(other), await after(x), 1e-6, 'outputs')
    })
  })

  test('vectors that stay as they are: a window of tokens beside an attention to learned vectors', async () => {
    await within(async () => {
      const rng = new Rng(6)
      const [set, mixer] = [vectorsOf(rng), attention(rng, [0])]
      const alone = new BlockAttention(
        { ...mixer.options, reads: [], positions: mixer.distanceBias as T5Bias },
        new Rng(7),
      )
      alone.loadStateDict(await mixer.stateDict(), { strict: false })
      set.gate.bias?.assign(fill([D], 100))
      const T = 3 * W
      const x = normal(new Rng(8), [1, T, D], 1)
      // the columns of the output map for what the window gave, and for what the vectors gave
      const [ofTokens, ofVectors] = split(mixer.oProj.weight, 2, 1) as [Tensor, Tensor]
      alone.oProj.weight.assign(ofTokens)
      const window = new BlockRecurrence([{ mixer: alone }], [], { ...never, writers: [] }).forward(x).y
      const { keys, values } = set.keysAndValues(set.initialState(1))
      const reader = mixer.readers[0] as (typeof mixer.readers)[number]
      const q = unitLength(reshape(reader.qProj.forward(x), [1, T, H, K]))
      const { o } = softmaxAttention({ q, k: unitLength(keys), v: values }, { causal: false, scale: 1 })
      const beside = affine({ x: reshape(o, [1, T, H * K]), weight: ofVectors }).y
      const recurrence = new BlockRecurrence([{ mixer }], [set], { ...never, writers: [0] })
      expectClose(await read(recurrence.forward(x).y), await read(add(window, beside)), 1e-5, 'outputs')
    })
  })

  test('where there is no block before the first, keys and values of zero take part in a write', async () => {
    await within(async () => {
      const rng = new Rng(4)
      const [set, mixer] = [vectorsOf(rng), attention(rng, [0])]
      const recurrence = new BlockRecurrence([{ mixer }], [set], { ...never, writers: [0] })
      const { state } = recurrence.forward(normal(new Rng(5), [1, W, D], 1))
      const { keys, values } = state.layers[0] as unknown as KeysAndValues
      const both = (x: Tensor): Tensor => concat([zerosLike(x), x], 1)
      const c = set.initialState(1)
      const write = (tokens: KeysAndValues): Promise<Float32Array> => read(set.write(c, set.keysAndValues(c), tokens))
      const actual = await read(state.vectors[0] as Tensor)
      expect(actual).toEqual(await write({ keys: both(keys), values: both(values) }))
      expect(actual).not.toEqual(await write({ keys, values }))
    })
  })

  test('gates: kernels and biases of zero keep σ(1) and take σ(-1), or what is not kept', async () => {
    await within(async () => {
      const [c, y, h] = [1, 2, 3].map((seed) => normal(new Rng(seed), [1, M, D], 1)) as [Tensor, Tensor, Tensor]
      const [keep, take] = [0.7310586, 0.2689414]
      for (const kind of ['lstm', 'full'] as const) {
        const gate = new VectorGate(kind, D, D, new Rng(4))
        for (const v of gate.parameters()) v.assign(zerosLike(v))
        expectClose(await read(gate.forward(c, y, h)), await read(add(mul(c, keep), mul(y, take))), 1e-6, kind)
      }
    })
  })

  test('a projected gate is a fixed one that keeps as much, over the projected candidate', async () => {
    await within(async () => {
      const [c, y] = [normal(new Rng(1), [1, M, D], 1), normal(new Rng(2), [1, M, D], 1)]
      const projected = new VectorGate('projected', D, D, new Rng(3))
      const fixed = new VectorGate('fixed', D, D, new Rng(3))
      fixed.bias?.assign(mul(projected.bias as Tensor, -1) as never)
      const z = projected.outProj?.forward(y) as Tensor
      expectClose(await read(projected.forward(c, y, y)), await read(fixed.forward(c, z, y)), 1e-6, 'vectors')
    })
  })

  test('values that vectors add: 4 D H K of projections, 2 H K D of output, gate, norm, 2 M D and scales', async () => {
    await within(async () => {
      expect(vectorsOf(new Rng(0)).parameterCount()).toBe(4 * D * H * K + 2 * H * K * D + 2 * D + 2 * M * D + 2 * H)
    })
  })

  test('positions with decay: products depend on the distance alone', async () => {
    await within(async () => {
      const x = new XPos(K, 5)
      const [q, k] = [mul(ones([1, 1, 1, K]), 0.7), normal(new Rng(1), [1, 1, 1, K], 1)]
      const product = (i: number, j: number) => read(mul(x.queries(q, i), x.keys(k, j)))
      const total = async (i: number, j: number): Promise<number> => (await product(i, j)).reduce((a, b) => a + b, 0)
      expect(await total(9, 4)).toBeCloseTo(await total(107, 102), 5)
      expect(await total(9, 4)).not.toBeCloseTo(await total(9, 8), 3)
    })
  })

  test('a segment that is no multiple of the block, or a writer that is no layer, is refused', () => {
    const make = (segment: number, writer: number) => () =>
      new BlockRecurrence([{ mixer: attention(new Rng(0)) }], [vectorsOf(new Rng(0))], {
        ...never,
        segment,
        writers: [writer],
      })
    expect(make(W + 1, 0)).toThrow(/segment: expected a multiple of the block of 3, got 4/)
    expect(make(W, 1)).toThrow(/writers: expected one of 1 layers, counted from 0, for each of 1 sets/)
  })
})
