import { read, within } from '@mneme/testing/subject'
import { sum, tensor1d } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { valueAndGrads } from '../gradients.js'
import { Rng } from '../rng.js'
import { Embedding } from './embedding.js'

describe('Embedding', () => {
  test('the row of padding is looked up as the others are, and lookups do not teach it', async () => {
    await within(async () => {
      const plain = new Embedding(3, 2, new Rng(1))
      const padded = new Embedding(3, 2, new Rng(1), 1, 0)
      const ids = tensor1d([0, 2, 0, 1], 'int32')
      expect(await read(padded.forward(ids))).toEqual(await read(plain.forward(ids)))
      const { grads } = valueAndGrads(() => sum(padded.forward(ids)), [padded.weight])
      expect(Array.from(await read(grads[0] as never))).toEqual([0, 0, 1, 1, 1, 1])
      plain.dispose()
      padded.dispose()
    })
  })
})
