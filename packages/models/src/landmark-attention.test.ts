import { read, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { tensor2d } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import landmark from './landmark-attention.js'
import transformer from './transformer.js'

const { tiny } = landmark
const row = (...values: number[]) => tensor2d([values], [1, values.length], 'int32')
const V = tiny.vocabulary

describe('landmark attention', () => {
  test('landmarks that the model inserts are those of a text that has them; their scores are left out', async () => {
    await within(async () => {
      const inserting = landmark.build(tiny)
      const given = landmark.build({ ...tiny, inserts: false, vocabulary: V + 1 })
      expect([inserting.vocabulary, given.vocabulary]).toEqual([V, V + 1])
      const dict = Object.entries(await inserting.stateDict())
      given.loadStateDict(Object.fromEntries(dict.map(([path, value]) => [path.replace('inner.', ''), value])))
      const scores = await read(inserting.forward(row(1, 2, 3, 4, 5, 6, 7)).y)
      const all = await read(given.forward(row(1, 2, 3, V, 4, 5, 6, V, 7)).y)
      const expected = [0, 1, 2, 4, 5, 6, 8].flatMap((t) => [...all.slice(t * (V + 1), t * (V + 1) + V)])
      expectClose(scores, expected, 1e-6, 'scores')
      inserting.dispose()
      given.dispose()
    })
  })

  test('before the first landmark: the plain transformer', async () => {
    await within(async () => {
      const { block, retrieved, inserts, ...shared } = tiny
      const model = landmark.build({ ...tiny, block: 8, inserts: false })
      const plain = transformer.build({ ...transformer.config, ...shared, nKvHeads: tiny.nHeads })
      plain.loadStateDict(await model.stateDict())
      const ids = row(1, 2, 3, 4, 5, 6, 7, 8)
      expectClose(await read(model.forward(ids).y), await read(plain.forward(ids).y), 1e-5, 'scores')
      model.dispose()
      plain.dispose()
    })
  })
})
