import { normal, normalInit, normalisedLinearAttention, Rng, softmaxAttention } from '@mneme/core-tensor'
import { read, span, within } from '@mneme/testing/subject'
import { difference, expectClose } from '@mneme/testing/tolerance'
import { add, exp, matMul, mul, ones, reshape, sum, type Tensor, tensor, tensor2d } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import {
  eluFeatures,
  type FavorOptions,
  favorDirections,
  favorFeatures,
  reluFeatures,
  taylorFeatures,
} from './feature-maps.js'
import { bidirectionalLinearAttention, LinearAttention, type LinearAttentionOptions } from './linear-attention.js'

const K = 4
const favor: FavorOptions = { dHead: K, features: 10, seed: 3 }
const options: LinearAttentionOptions = {
  dModel: 8,
  nHeads: 2,
  dHead: K,
  featureMap: eluFeatures,
  eps: 1e-6,
  chunk: 8,
  projection: { init: normalInit(0.6) },
}

describe('LinearAttention', () => {
  test.each([
    ['ELU + 1', eluFeatures],
    ['ReLU', reluFeatures],
    ['Taylor', taylorFeatures],
    ['FAVOR+', favorFeatures(favor)],
  ])('%s: in chunks of any size as the recurrence', async (_, featureMap) => {
    await within(async () => {
      const x = normal(new Rng(1), [2, 21, 8], 1)
      const run = async (chunk: number) =>
        read(new LinearAttention({ ...options, featureMap, chunk }, new Rng(1)).forward(x).y)
      const one = await run(1)
      for (const chunk of [2, 7, 21, 64]) expectClose(await run(chunk), one, 1e-5, `chunk ${chunk}`)
    })
  })

  test('q = 0, k = (0, 1), v = (1, 4): the second output is 3, the first its own value', async () => {
    await within(async () => {
      const at = (...values: number[]): Tensor => tensor(values, [1, 2, 1, 1])
      const features = (x: Tensor): Tensor => eluFeatures.features(x)
      const inputs = { q: features(at(0, 0)), k: features(at(0, 1)), v: at(1, 4) }
      expectClose(await read(normalisedLinearAttention(inputs, { scale: 1 }).o), [1, 3], 1e-5, 'outputs')
    })
  })

  test('equal values come out as they are: weights are positive and sum to 1', async () => {
    await within(async () => {
      const rng = new Rng(2)
      const [q, k] = [normal(rng, [1, 9, 2, K], 1), normal(rng, [1, 9, 2, K], 1)]
      for (const map of [eluFeatures, taylorFeatures]) {
        const [a, b] = [map.features(q), map.features(k)]
        const scores = await read(matMul(reshape(a, [9, -1]), reshape(b, [9, -1]), false, true))
        expect(Math.min(...scores)).toBeGreaterThan(0)
        const { o } = normalisedLinearAttention({ q: a, k: b, v: ones([1, 9, 2, 3]) }, { scale: 1 })
        expectClose(await read(o), new Float32Array(54).fill(1), 1e-5, 'outputs')
      }
    })
  })

  test('all to all: the last token sees what it sees causally; padding counts for nothing', async () => {
    await within(async () => {
      const rng = new Rng(3)
      const [q, k] = [1, 2].map(() => eluFeatures.features(normal(rng, [2, 7, 2, K], 1))) as [Tensor, Tensor]
      const v = normal(rng, [2, 7, 2, 3], 1)
      const causal = normalisedLinearAttention({ q, k, v }, { scale: 1 }).o
      const last = span(bidirectionalLinearAttention(q, k, v), 6, 1)
      expectClose(await read(last), await read(span(causal, 6, 1)), 1e-5, 'last token')
      const mask = tensor2d([1, 1, 1, 1, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0], [2, 7])
      const short = bidirectionalLinearAttention(span(q, 0, 4), span(k, 0, 4), span(v, 0, 4))
      const masked = span(bidirectionalLinearAttention(q, k, v, mask), 0, 4)
      expectClose(await read(masked), await read(short), 1e-5, 'padded')
    })
  })

  test('as many values as softmax attention with the same heads', async () => {
    await within(async () => {
      const mixer = new LinearAttention({ ...options, projection: { bias: false } }, new Rng(0))
      expect(mixer.parameterCount()).toBe(4 * 8 * 8)
    })
  })

  test('random features of any size: keys a thousand times as long overflow nothing', async () => {
    await within(async () => {
      const mixer = new LinearAttention({ ...options, featureMap: favorFeatures(favor) }, new Rng(4))
      const y = await read(mixer.forward(mul(normal(new Rng(5), [1, 9, 8], 1), 1e3)).y)
      expect(y.every(Number.isFinite)).toBe(true)
    })
  })

  test('the running scale changes nothing: random features as the plain quotient', async () => {
    await within(async () => {
      const map = favorFeatures(favor)
      const mixer = new LinearAttention({ ...options, featureMap: map }, new Rng(6))
      const plain = new LinearAttention(
        { ...options, featureMap: { ...map, features: (x) => exp(map.features(x)), logarithmic: false }, eps: 0 },
        new Rng(6),
      )
      const x = normal(new Rng(7), [2, 15, 8], 1)
      expectClose(await read(mixer.forward(x).y), await read(plain.forward(x).y), 1e-5, 'outputs')
    })
  })
})

describe('Taylor features', () => {
  test('products are 1 + s + s²/2, s = q·k/√K', async () => {
    await within(async () => {
      const rng = new Rng(8)
      const [q, k] = [normal(rng, [11, K], 1), normal(rng, [11, K], 1)]
      const products = await read(sum(mul(taylorFeatures.features(q), taylorFeatures.features(k)), -1))
      const scores = await read(mul(sum(mul(q, k), -1), K ** -0.5))
      const expected = scores.map((s) => 1 + s + (s * s) / 2)
      expectClose(products, expected, 1e-5, 'products')
    })
  })
})

describe('FAVOR+', () => {
  /** Estimates of exp(q·k/√K) from draws of the directions, one a seed. */
  async function estimates(q: Tensor, k: Tensor, how: Partial<FavorOptions>): Promise<number[]> {
    const all: number[] = []
    for (let seed = 0; seed < 2000; seed++) {
      const map = favorFeatures({ dHead: K, features: 2 * K, seed, ...how })
      const [a, b] = [await read(map.features(q)), await read(map.features(k))]
      all.push(a.reduce((total, x, i) => total + Math.exp(x + (b[i] as number)), 0))
    }
    return all
  }
  const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length
  const variance = (values: readonly number[]): number => mean(values.map((v) => (v - mean(values)) ** 2))

  test.each([true, false])('the mean over draws is exp(q·k/√K), at right angles: %s', async (orthogonal) => {
    await within(async () => {
      const rng = new Rng(9)
      const [q, k] = [normal(rng, [1, K], 0.4), normal(rng, [1, K], 0.4)]
      const exact = Math.exp((await read(mul(sum(mul(q, k)), K ** -0.5)))[0] as number)
      const drawn = await estimates(q, k, { orthogonal })
      // three deviations of the mean
      expect(Math.abs(mean(drawn) - exact)).toBeLessThan(3 * Math.sqrt(variance(drawn) / drawn.length))
    })
  })

  test('right angles make the draws differ less', async () => {
    await within(async () => {
      // lengths are held equal: theirs are the long tails that would hide the difference
      const x = tensor2d([[1.06, 0, 0, 0]])
      const [orthogonal, independent] = await Promise.all(
        [true, false].map(async (o) => variance(await estimates(x, x, { orthogonal: o, lengths: 'constant' }))),
      )
      expect(orthogonal).toBeLessThan(0.85 * (independent as number))
    })
  })

  test('directions stand at right angles within a block of K, and lengths are as asked', () => {
    for (const lengths of ['gaussian', 'constant'] as const) {
      const w = favorDirections({ dHead: 5, features: 13, seed: 4, lengths })
      const product = (i: number, j: number): number =>
        Array.from({ length: 5 }, (_, c) => (w[i * 5 + c] as number) * (w[j * 5 + c] as number)).reduce((a, b) => a + b)
      for (let i = 0; i < 13; i++) {
        for (let j = 5 * Math.floor(i / 5); j < i; j++) expect(Math.abs(product(i, j))).toBeLessThan(1e-5)
        if (lengths === 'constant') expect(product(i, i)).toBeCloseTo(5, 4)
      }
      if (lengths === 'gaussian') expect(Math.abs(product(0, 0) - product(1, 1))).toBeGreaterThan(1e-3)
    }
  })

  test('the same seed gives the same directions, another gives others', () => {
    expect(favorDirections(favor)).toEqual(favorDirections(favor))
    expect(favorDirections({ ...favor, seed: 5 })).not.toEqual(favorDirections(favor))
  })

  test('more features come nearer to softmax attention, about as the root of their number', async () => {
    await within(async () => {
      const rng = new Rng(10)
      const [q, k, v] = [1, 2, 3].map(() => normal(rng, [1, 12, 1, K], 0.8)) as [Tensor, Tensor, Tensor]
      const exact = await read(softmaxAttention({ q, k, v }, { causal: false }).o)
      const error = async (features: number): Promise<number> => {
        let total = 0
        for (let seed = 0; seed < 20; seed++) {
          const map = favorFeatures({ dHead: K, features, seed })
          const [a, b] = [exp(map.features(q)), exp(map.features(k))]
          total += difference(await read(bidirectionalLinearAttention(a, b, v, undefined, 0)), exact).relative ** 2
        }
        return Math.sqrt(total / 20)
      }
      const ratio = (await error(16)) / (await error(256))
      expect(ratio).toBeGreaterThan(2)
      expect(ratio).toBeLessThan(8)
    })
  })

  test('the rectifier gives features above 0.001', async () => {
    await within(async () => {
      const features = await read(
        favorFeatures({ ...favor, kernel: 'relu' }).features(add(normal(new Rng(11), [9, K], 1), 0)),
      )
      expect(Math.min(...features)).toBeCloseTo(1e-3, 6)
    })
  })
})
