import { normal, normalInit, Rng } from '@mneme/core-tensor'
import { inPieces, read, type Sequence, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { fill, type Tensor, tensor } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { type CachePolicy, fullCache, heavyHitterCache, sinkCache, tovaCache, windowCache } from './cache-policy.js'
import { Alibi, alibiSlopes, T5Bias, t5Buckets } from './position-bias.js'
import { SoftmaxAttention, type SoftmaxAttentionOptions } from './softmax-attention.js'

const D = 8
const options: SoftmaxAttentionOptions = {
  dModel: D,
  nHeads: 4,
  nKvHeads: 2,
  dHead: 4,
  window: 0,
  rotary: { dims: 4, base: 100 },
  projection: { bias: false, init: normalInit(0.6) },
}
const policies: Readonly<Record<string, (capacity: number) => CachePolicy>> = {
  window: windowCache,
  sinks: (capacity) => sinkCache(1, capacity),
  H2O: heavyHitterCache,
  TOVA: tovaCache,
}
const outputs = async (extra: Partial<SoftmaxAttentionOptions>, x: Tensor): Promise<Float32Array> =>
  read(new SoftmaxAttention({ ...options, ...extra }, new Rng(1)).forward(x).y)

describe('cache policies', () => {
  test.each(Object.entries(policies))('%s: a cache for all tokens is full attention', async (_, policy) => {
    await within(async () => {
      const x = normal(new Rng(2), [2, 13, D], 1)
      expectClose(await outputs({ cache: policy(13) }, x), await outputs({}, x), 1e-5, 'outputs')
    })
  })

  test.each(Object.entries(policies))('%s: never more keys than the cache holds', async (_, policy) => {
    await within(async () => {
      const mixer = new SoftmaxAttention({ ...options, cache: policy(4) }, new Rng(1))
      for (const T of [3, 4, 5, 17]) {
        const { keys } = mixer.forward(normal(new Rng(T), [2, T, D], 1)).state
        expect((keys as Tensor).shape[1]).toBe(Math.min(T, 4))
      }
      expect(mixer.stateBytes(1e6)).toBe(4 * 2 * (2 * 4 + (_ === 'H2O' ? 1 : 0)) * 4)
    })
  })

  test('a cache of the newest is a sliding window of one more, its own key', async () => {
    await within(async () => {
      const x = normal(new Rng(3), [2, 15, D], 1)
      expectClose(await outputs({ cache: windowCache(4) }, x), await outputs({ window: 5 }, x), 1e-5, 'outputs')
    })
  })

  test('a cache of sinks is a window beside them', async () => {
    await within(async () => {
      const x = normal(new Rng(4), [2, 15, D], 1)
      const masked = await outputs({ window: 4, sinks: 2 }, x)
      expectClose(await outputs({ cache: sinkCache(2, 5) }, x), masked, 1e-5, 'outputs')
    })
  })

  test('a window with sinks keeps just what it sees', async () => {
    await within(async () => {
      const mixer = new SoftmaxAttention({ ...options, window: 4, sinks: 2 }, new Rng(1))
      const x = normal(new Rng(5), [1, 12, D], 1)
      const steps = inPieces(mixer as unknown as Sequence, x, Array<number>(12).fill(1))
      expectClose(await read(steps.y), await outputs({ window: 4, sinks: 2 }, x), 1e-5, 'outputs')
      expect(((steps.state as { keys: Tensor }).keys as Tensor).shape[1]).toBe(5)
    })
  })

  test('TOVA: of weights 0.4, 0.1, 0.3, 0.2 the second goes; heads are taken together; places ascend', async () => {
    await within(async () => {
      const one = tensor([0.4, 0.1, 0.3, 0.2], [1, 1, 4])
      expect([...(await read(tovaCache(3).kept(4, one)))]).toEqual([0, 2, 3])
      const two = tensor([0.5, 0.1, 0.3, 0.1, 0, 0.7, 0.1, 0.2], [1, 2, 4])
      expect([...(await read(tovaCache(2).kept(4, two)))]).toEqual([0, 1])
      const newestLeast = tensor([0.4, 0.3, 0.2, 0.1], [1, 1, 4])
      expect([...(await read(tovaCache(3).kept(4, newestLeast)))]).toEqual([0, 1, 2])
    })
  })

  test('TOVA: of equal weights the later stay', async () => {
    await within(async () => {
      expect([...(await read(tovaCache(3).kept(5, fill([1, 1, 5], 0.2))))]).toEqual([2, 3, 4])
      const tied = tensor([0.3, 0.1, 0.1, 0.3, 0.1], [1, 1, 5])
      expect([...(await read(tovaCache(3).kept(5, tied)))]).toEqual([0, 3, 4])
    })
  })

  test('H2O: the newest half stays whatever it weighs, the rest by its weight, each head by itself', async () => {
    await within(async () => {
      const weights = tensor([3, 1, 2, 0, 0, 1, 2, 3, 0, 0], [1, 2, 5])
      expect([...(await read(heavyHitterCache(4).kept(5, weights)))]).toEqual([0, 2, 3, 4, 1, 2, 3, 4])
    })
  })

  test('H2O goes by the weight of all queries so far: what it adds up is one for each query and head', async () => {
    await within(async () => {
      const mixer = new SoftmaxAttention({ ...options, cache: heavyHitterCache(20) }, new Rng(1))
      const { usage } = mixer.forward(normal(new Rng(6), [1, 9, D], 1)).state
      const values = await read(usage as Tensor)
      // two query heads a key head, nine queries
      for (const g of [0, 1]) {
        const total = values.filter((_, n) => n % 2 === g).reduce((a, b) => a + b)
        expect(total).toBeCloseTo(18, 4)
      }
    })
  })

  test('the chunk is part of the result: keys that a chunk still sees would be gone token by token', async () => {
    await within(async () => {
      const x = normal(new Rng(7), [1, 12, D], 1)
      expect(await outputs({ cache: tovaCache(3, 4) }, x)).not.toEqual(await outputs({ cache: tovaCache(3) }, x))
    })
  })

  test('policies beside a window or biases by distance are refused, and what makes no sense', () => {
    const make = (extra: Partial<SoftmaxAttentionOptions>) => () =>
      new SoftmaxAttention({ ...options, ...extra }, new Rng(0))
    expect(make({ cache: fullCache, window: 3 })).toThrow(/expected no window/)
    expect(make({ cache: fullCache, distanceBias: new Alibi(4) })).toThrow(/no distance bias/)
    expect(make({ sinks: 2 })).toThrow(/expected a window/)
    expect(make({ sinks: 2, window: 3, distanceBias: new Alibi(4) })).toThrow(/no distance bias/)
    expect(() => tovaCache(0)).toThrow(/capacity: expected .* got 0/)
    expect(() => sinkCache(3, 2)).toThrow(/first: expected 0 to capacity = 2, got 3/)
    expect(() => windowCache(2, 0.5)).toThrow(/chunk: expected .* got 0.5/)
  })
})

describe('biases by distance', () => {
  test('slopes: 1/2 to 1/256 for 8 heads; for 6 those of 4, then every other one of 8', () => {
    expect(alibiSlopes(8)).toEqual([1, 2, 3, 4, 5, 6, 7, 8].map((n) => 2 ** -n))
    expect(alibiSlopes(6)).toEqual([2 ** -2, 2 ** -4, 2 ** -6, 2 ** -8, 2 ** -1, 2 ** -3])
    expect(alibiSlopes(1)).toEqual([2 ** -8])
  })

  test('buckets: one each up to 15, then 16 holds 16, and 31 holds 113 and above', () => {
    const buckets = t5Buckets(32, 128)
    expect(buckets.slice(0, 17)).toEqual(Array.from({ length: 17 }, (_, n) => n))
    expect(buckets[112]).toBe(30)
    expect(buckets.slice(113)).toEqual(Array(16).fill(31))
  })

  test('no slope to speak of, no bias: a learned table of one value changes nothing', async () => {
    await within(async () => {
      const bias = new T5Bias({ nHeads: 4, buckets: 6, maxDistance: 9 }, new Rng(1))
      bias.weight.assign(fill([6, 4], 0.7))
      const x = normal(new Rng(8), [1, 14, D], 1)
      const plain = await outputs({ rotary: null }, x)
      expectClose(await outputs({ rotary: null, distanceBias: bias }, x), plain, 1e-5, 'outputs')
    })
  })
})
