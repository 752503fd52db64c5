import { read, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { exp, sum, tensor2d } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { normal } from '../init.js'
import { Rng } from '../rng.js'
import { AdaptiveEmbedding, AdaptiveSoftmax } from './adaptive.js'
import { Embedding } from './embedding.js'

const sizes = { vocabulary: 11, dModel: 6, dEmbedding: 8, cutoffs: [3, 7], divisor: 2, std: 1, projectionStd: 1 }

describe('bands of frequency', () => {
  test('probabilities of all tokens sum to 1, and the order of bands moves none within a band', async () => {
    await within(async () => {
      const embedding = new AdaptiveEmbedding(sizes, new Rng(1))
      const options = { tied: true, tiedProjections: [true, true, true] }
      const make = (clusters: 'forward' | 'backward'): AdaptiveSoftmax =>
        new AdaptiveSoftmax({ embedding }, { ...options, clusters }, new Rng(2))
      const [forward, backward] = [make('forward'), make('backward')]
      const h = normal(new Rng(3), [2, 3, 6], 1)
      for (const head of [forward, backward]) {
        expectClose(await read(sum(exp(head.forward(h)), 2)), Array(6).fill(1), 1e-6, 'sums')
      }
      const [a, b] = [await read(forward.forward(h)), await read(backward.forward(h))]
      expectClose(a.slice(0, 3), b.slice(0, 3), 1e-6, 'first band')
      expect((a[3] as number) - (a[6] as number)).toBeCloseTo((b[3] as number) - (b[6] as number), 5)
      expect(a[3]).not.toBeCloseTo(b[3] as number, 5)
    })
  })

  test('one band as wide as the model is a table', async () => {
    await within(async () => {
      const adaptive = new AdaptiveEmbedding({ ...sizes, dEmbedding: 6, cutoffs: [], divisor: 1 }, new Rng(1))
      const table = new Embedding(11, 6, new Rng(1))
      const ids = tensor2d([[0, 3, 10]], [1, 3], 'int32')
      expect(await read(adaptive.forward(ids))).toEqual(await read(table.forward(ids)))
    })
  })

  test('cutoffs that do not rise are refused', () => {
    expect(() => new AdaptiveEmbedding({ ...sizes, cutoffs: [7, 3] }, new Rng(1))).toThrow(/expected rising/)
  })
})
