import { type TokenModel, valueAndGrads } from '@mneme/core-tensor'
import { read, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { square, sum, type Tensor, tensor2d, type Variable, zerosLike } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { createModel } from './registry.js'
import resformer from './resformer-value-residual.js'
import transformer from './transformer.js'

const ids = (): ReturnType<typeof tensor2d> => tensor2d([[1, 5, 2, 2, 9, 0, 4]], [1, 7], 'int32')
const tiny = { ...resformer.tiny, learnedShares: false, mixedLayers: null }

/** A model with the weights of another, as far as it has a place for them. */
async function like(model: TokenModel, config: object): Promise<TokenModel> {
  const other = await createModel('resformer-value-residual', { ...tiny, ...config })
  other.loadStateDict(await model.stateDict(), { strict: false })
  return other
}

describe('value residuals', () => {
  test('shares 0 and 1 are the plain transformer', async () => {
    await within(async () => {
      const model = await createModel('resformer-value-residual', { ...tiny, firstShare: 0, ownShare: 1 })
      const plain = await createModel('transformer', { ...transformer.tiny, nLayers: tiny.nLayers })
      plain.loadStateDict(await model.stateDict())
      expect(await read(model.forward(ids()).y)).toEqual(await read(plain.forward(ids()).y))
      model.dispose()
      plain.dispose()
    })
  })

  test('shares 1 and 0 are SVFormer', async () => {
    await within(async () => {
      const model = await createModel('resformer-value-residual', { ...tiny, firstShare: 1, ownShare: 0 })
      const shared = await like(model, { variant: 'svformer' })
      expectClose(await read(shared.forward(ids()).y), await read(model.forward(ids()).y), 1e-6, 'scores')
      const saved = 2 * tiny.dModel * tiny.nKvHeads * tiny.dHead + 2 * tiny.nKvHeads * tiny.dHead
      expect(model.parameterCount() - shared.parameterCount()).toBe(saved)
      model.dispose()
      shared.dispose()
    })
  })

  test('learned shares start as the fixed ones', async () => {
    await within(async () => {
      const model = await createModel('resformer-value-residual', tiny)
      const learned = await like(model, { learnedShares: true })
      expect(await read(learned.forward(ids()).y)).toEqual(await read(model.forward(ids()).y))
      model.dispose()
      learned.dispose()
    })
  })

  test('SVFormer keeps (L + 1) / 2L of the keys and values', async () => {
    await within(async () => {
      const bytes = async (variant: string): Promise<number> => {
        const model = await createModel('resformer-value-residual', { ...tiny, variant })
        const found = model.stateBytes(100)
        model.dispose()
        return found
      }
      expect((await bytes('svformer')) / (await bytes('resformer'))).toBeCloseTo((3 + 1) / (2 * 3), 12)
    })
  })

  test('layers above teach the values of the first', async () => {
    await within(async () => {
      const model = await createModel('resformer-value-residual', { ...tiny, attentionBias: false })
      const parameters = new Map(model.namedParameters())
      const of = (name: string): Variable => parameters.get(`body.layers.0.mixer.${name}.weight`) as Variable
      // the first layer's own attention says nothing
      of('oProj').assign(zerosLike(of('oProj')))
      const { grads } = valueAndGrads(() => sum(square(model.forward(ids()).y)), [of('vProj')])
      expect(Math.max(...(await read(grads[0] as Tensor)))).toBeGreaterThan(1e-3)
      model.dispose()
    })
  })
})
