import { normal, normalInit, type Recorder, Rng, valueAndGrads } from '@mneme/core-tensor'
import { read, span, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { concat, memory, mul, sum, type Tensor, zeros } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { LandmarkAttention, type LandmarkAttentionOptions, landmarkWeights } from './landmark-attention.js'
import { SoftmaxAttention } from './softmax-attention.js'

const D = 8
const options: LandmarkAttentionOptions = {
  dModel: D,
  nHeads: 2,
  dHead: 4,
  block: 3,
  retrieved: null,
  rotary: { dims: 4 },
  projection: { bias: false, init: normalInit(0.6) },
}

describe('LandmarkAttention', () => {
  test('weights are not negative, sum to 1, are 0 on landmarks and on what comes later', async () => {
    await within(async () => {
      const T = 14
      const rng = new Rng(1)
      const [q, k] = [normal(rng, [1, T, 2, 4], 2), normal(rng, [1, T, 2, 4], 2)]
      for (const retrieved of [null, 1]) {
        const weights = await read(landmarkWeights(q, k, { block: 3, retrieved }))
        for (let row = 0; row < 2 * T; row++) {
          const values = weights.slice(row * T, (row + 1) * T)
          expect(Math.min(...values)).toBeGreaterThanOrEqual(0)
          expect(values.reduce((a, b) => a + b)).toBeCloseTo(1, 5)
          expect(values.filter((w, j) => w !== 0 && (j % 4 === 3 || j > row % T))).toEqual(new Float32Array(0))
        }
      }
    })
  })

  test('all scores 0, a block of two tokens and its landmark, one more token: 1/4, 1/4, 0, 1/2', async () => {
    await within(async () => {
      const weights = landmarkWeights(zeros([1, 1, 1, 2]), zeros([1, 4, 1, 2]), { block: 2, retrieved: null })
      expectClose(await read(weights), [0.25, 0.25, 0, 0.5], 1e-6, 'weights')
    })
  })

  test('before the first landmark: softmax attention', async () => {
    await within(async () => {
      const mixer = new LandmarkAttention({ ...options, block: 20 }, new Rng(2))
      const plain = new SoftmaxAttention({ ...options, nKvHeads: 2, window: 0 }, new Rng(3))
      plain.loadStateDict(await mixer.stateDict())
      const x = normal(new Rng(4), [2, 15, D], 1)
      expectClose(await read(mixer.forward(x).y), await read(plain.forward(x).y), 1e-5, 'outputs')
    })
  })

  test('as many blocks retrieved as there are: all of them; one less is not', async () => {
    await within(async () => {
      const x = normal(new Rng(5), [1, 18, D], 1)
      const run = async (retrieved: number | null) =>
        read(new LandmarkAttention({ ...options, retrieved }, new Rng(6)).forward(x).y)
      const all = await run(null)
      for (const retrieved of [4, 50]) expectClose(await run(retrieved), all, 1e-6, `${retrieved} blocks`)
      expect(await run(3)).not.toEqual(all)
    })
  })

  test('one block retrieved: the tokens of one earlier block have weight, those of the greatest landmark', async () => {
    await within(async () => {
      const T = 15
      const rng = new Rng(7)
      const [q, k] = [normal(rng, [1, T, 1, 4], 2), normal(rng, [1, T, 1, 4], 2)]
      const weights = (await read(landmarkWeights(q, k, { block: 3, retrieved: 1 }))).slice(-T)
      const [query, keys] = [await read(span(q, T - 1, 1)), await read(k)]
      const score = (j: number): number => query.reduce((sum, v, c) => sum + v * (keys[4 * j + c] as number), 0)
      const best = [3, 7, 11].reduce((a, b) => (score(b) > score(a) ? b : a))
      for (const landmark of [3, 7, 11]) {
        const given = weights.slice(landmark - 3, landmark).reduce((a, b) => a + b)
        if (landmark === best) expect(given).toBeGreaterThan(0)
        else expect(given).toBe(0)
      }
    })
  })

  test('near positions: those of the text while there are few blocks, and none greater afterwards', async () => {
    await within(async () => {
      const x = normal(new Rng(31), [1, 40, D], 1)
      const run = async (positions: 'own' | 'near', begin: number, size: number): Promise<Float32Array> => {
        const mixer = new LandmarkAttention({ ...options, retrieved: 2, positions }, new Rng(51))
        return read(span(mixer.forward(span(x, begin, size)).y, size - 1, 1))
      }
      // block 3 is the last whose earlier ones all stand where they do in the text
      expectClose(await run('near', 0, 16), await run('own', 0, 16), 1e-5, 'four blocks')
      expect(await run('near', 0, 20)).not.toEqual(await run('own', 0, 20))
    })
  })

  test('near positions: what is given to a block far back does not change as it moves farther back', async () => {
    await within(async () => {
      const [head, tail] = [normal(new Rng(41), [1, 4, D], 2), normal(new Rng(42), [1, 2, D], 2)]
      const filler = normal(new Rng(43), [1, 4, D], 0.01)
      const given = async (positions: 'own' | 'near', fillers: number): Promise<number[]> => {
        const mixer = new LandmarkAttention({ ...options, retrieved: 1, positions }, new Rng(51))
        const weights: Tensor[] = []
        const record: Recorder = { record: (_, value) => weights.push(value), at: () => record }
        mixer.forward(concat([head, ...Array<Tensor>(fillers).fill(filler), tail], 1), undefined, {
          training: false,
          record,
        })
        const [seen] = weights as [Tensor]
        const [T, S] = [seen.shape[2] as number, seen.shape[3] as number]
        const values = await read(seen)
        return [0, 1].flatMap((h) => Array.from(values.slice(h * T * S + (T - 1) * S, h * T * S + (T - 1) * S + 4)))
      }
      const [few, many] = [await given('near', 3), await given('near', 9)]
      expect(few.reduce((a, b) => a + b)).toBeGreaterThan(0.1)
      expectClose(Float32Array.from(many), Float32Array.from(few), 1e-5, 'weights of the first block')
      expect(await given('own', 9)).not.toEqual(await given('own', 3))
    })
  })

  test('so many queries at a time change no output and no gradient, and hold no weights of all of them', async () => {
    await within(async () => {
      const x = normal(new Rng(21), [1, 60, D], 1)
      const weights = normal(new Rng(22), [1, 60, D], 1)
      const run = async (queryBlock: number): Promise<readonly [Float32Array[], number]> => {
        const mixer = new LandmarkAttention({ ...options, queryBlock }, new Rng(23))
        const variables = [x, ...mixer.parameters()]
        let largest = 0
        const { value, grads } = valueAndGrads(() => {
          const before = memory().numBytes
          const total = sum(mul(mixer.forward(x).y, weights))
          largest = memory().numBytes - before
          return total
        }, variables)
        return [await Promise.all([value, ...(grads as Tensor[])].map(read)), largest]
      }
      const [[whole, wholeBytes], [pieces, bytes]] = [await run(60), await run(6)]
      for (const [i, values] of whole.entries()) expectClose(pieces[i] as Float32Array, values, 1e-4, `gradient ${i}`)
      expect(bytes).toBeLessThan(wholeBytes / 3)
    })
  })

  test('as many values as softmax attention; blocks and retrievals of nothing are refused', () => {
    const mixer = new LandmarkAttention(options, new Rng(0))
    expect(mixer.parameterCount()).toBe(4 * D * D)
    mixer.dispose()
    expect(() => new LandmarkAttention({ ...options, block: 0 }, new Rng(0))).toThrow(/block: expected .* got 0/)
    expect(() => new LandmarkAttention({ ...options, retrieved: 0 }, new Rng(0))).toThrow(/retrieved: .* got 0/)
  })
})
