import { BatchSession, type TokenModel } from '@mneme/core-tensor'
import { expectClose, tolerances } from '@mneme/testing/tolerance'
import { describe, expect, test } from 'vitest'
import { createModel, loadPaper, paperKeys } from './index.js'

const PROMPTS = [[3, 1, 4, 1], [4], [2, 0]]

describe('prompts of unequal length, side by side', () => {
  test.each(paperKeys)('%s: scores are those of each prompt alone', async (key) => {
    const model = (await createModel(key, (await loadPaper(key)).tiny)) as TokenModel
    if (!model.traits.causal) {
      expect(() => new BatchSession(model, PROMPTS)).toThrow(/sees the past alone/)
      return model.dispose()
    }
    const batch = new BatchSession(model, PROMPTS, { prefillChunk: 2 })
    for (const next of [null, [1, 2, 3]]) {
      if (next) batch.push(next)
      const scores = await batch.nextScores()
      for (const [row, prompt] of PROMPTS.entries()) {
        const session = await model.session()
        session.feed([...prompt, ...(next?.slice(row, row + 1) ?? [])])
        expectClose(scores[row] as Float32Array, await session.nextScores(), tolerances.forward(), `row ${row}`)
        session.dispose()
      }
    }
    batch.dispose()
    model.dispose()
  })
})
