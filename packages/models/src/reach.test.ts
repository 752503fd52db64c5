import type { TokenModel } from '@mneme/core-tensor'
import { Rng } from '@mneme/core-tensor'
import { read, span, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { concat, type Tensor, tensor2d } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { createModel } from './registry.js'

const V = 13

function draw(seed: number, T: number): Tensor {
  const rng = new Rng(seed)
  return tensor2d(
    Int32Array.from({ length: T }, () => rng.int(0, V)),
    [1, T],
    'int32',
  )
}

async function lastScores(model: TokenModel, ids: Tensor): Promise<Float32Array> {
  return read(span(model.forward(ids).y, (ids.shape[1] as number) - 1, 1))
}

describe('what a stack of layers can see', () => {
  const xl = {
    vocabulary: V,
    dModel: 8,
    nLayers: 2,
    nHeads: 2,
    dHead: 4,
    dInner: 8,
    segment: 4,
    memory: 4,
    initStd: 0.4,
  }

  test('Transformer-XL: tokens more than layers × memory + segment back have no effect', async () => {
    await within(async () => {
      const model = await createModel('transformer-xl', xl)
      const [text, one, other] = [draw(1, 12), draw(2, 8), draw(3, 8)]
      const alone = await lastScores(model, text)
      expectClose(await lastScores(model, concat([one, text], 1)), alone, 1e-6, 'one prefix')
      expectClose(await lastScores(model, concat([other, one, text], 1)), alone, 1e-6, 'two prefixes')
      model.dispose()
    })
  })

  test('Transformer-XL: a second layer sees beyond the memory of the first', async () => {
    await within(async () => {
      const [text, one, other] = [draw(4, 8), draw(5, 4), draw(6, 4)]
      for (const nLayers of [1, 2]) {
        const model = await createModel('transformer-xl', { ...xl, nLayers })
        const [a, b] = [concat([one, text], 1), concat([other, text], 1)]
        const [scores, others] = [await lastScores(model, a), await lastScores(model, b)]
        if (nLayers === 1) expectClose(scores, others, 1e-6, 'one layer')
        else expect(scores).not.toEqual(others)
        model.dispose()
      }
    })
  })

  test('a transformer with a window sees layers × (window - 1) tokens back and no more', async () => {
    await within(async () => {
      const sizes = { dModel: 8, nHeads: 2, nKvHeads: 1, dHead: 4, dInner: 8 }
      const model = await createModel('transformer', { ...sizes, vocabulary: V, nLayers: 2, window: 3, initStd: 0.4 })
      const [text, near] = [draw(7, 4), draw(8, 1)]
      const [one, other] = [tensor2d([[1]], [1, 1], 'int32'), tensor2d([[2]], [1, 1], 'int32')]
      const scores = (...parts: Tensor[]) => lastScores(model, concat(parts, 1))
      expect(await scores(one, text)).not.toEqual(await scores(other, text))
      expectClose(await scores(one, near, text), await scores(other, near, text), 1e-6, 'beyond')
      model.dispose()
    })
  })
})
