import { read, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { add, fill, mul, type Tensor, tensor, tensor2d, zeros } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import paper, { haltingStep, type UniversalStack, type UniversalTransformerConfig } from './universal-transformer.js'

const { tiny } = paper
const ids = tensor2d([[1, 2, 3, 4, 5, 6, 7]], [1, 7], 'int32')
const none = () => ({ used: zeros([1, 1, 1]), remainder: zeros([1, 1, 1]), count: zeros([1, 1, 1]) })

/** Weights of the steps, and what is left at the end, for the same probability at each. */
async function halted(p: number, steps: number): Promise<{ weights: number[]; remainder: number; count: number }> {
  let tokens: ReturnType<typeof haltingStep>['tokens'] = none()
  const weights: number[] = []
  for (let t = 0; t < steps; t++) {
    const step = haltingStep(tokens, fill([1, 1, 1], p), 0.01)
    weights.push((await read(step.weight))[0] as number)
    tokens = step.tokens
  }
  const value = async (x: Tensor): Promise<number> => (await read(x))[0] as number
  expect(await value(tokens.used)).toBeCloseTo(
    weights.reduce((a, b) => a + b),
    6,
  )
  return { weights, remainder: await value(tokens.remainder), count: await value(tokens.count) }
}

describe('universal transformer', () => {
  test('probabilities of 0.4: weights 0.4, 0.4, 0.2, then nothing', async () => {
    await within(async () => {
      const { weights, remainder, count } = await halted(0.4, 5)
      expectClose(weights, [0.4, 0.4, 0.2, 0, 0], 1e-6, 'weights')
      expect(remainder).toBeCloseTo(0.2, 6)
      expect(count).toBe(3)
    })
  })

  test('a probability of 1 halts after one step', async () => {
    await within(async () => {
      expect(await halted(1, 3)).toEqual({ weights: [1, 0, 0], remainder: 1, count: 1 })
    })
  })

  test('as many values whatever the steps, save for learned signals', () => {
    const count = (config: Partial<UniversalTransformerConfig>): number => {
      const model = paper.build({ ...tiny, ...config })
      const total = model.parameterCount()
      model.dispose()
      return total
    }
    expect(count({ steps: 7 })).toBe(count({ steps: 1 }))
    expect(count({ steps: 7, stepSignal: 'learned' }) - count({ steps: 1 })).toBe(7 * tiny.dModel)
  })

  test('steps are layers that share their weights, each with its signals', async () => {
    await within(async () => {
      const model = paper.build({ ...tiny, halting: 'none' })
      const body = model.body as unknown as UniversalStack
      const signal = (place: number): number[] =>
        [Math.sin, Math.cos].flatMap((wave) =>
          Array.from({ length: 3 }, (_, m) => wave(place * 10000 ** ((-2 * m) / tiny.dModel))),
        )
      const positions = tensor([Array.from({ length: 7 }, (_, i) => signal(i))])
      let s = mul(model.embedding.forward(ids), Math.sqrt(tiny.dModel))
      for (let t = 0; t < tiny.steps; t++) s = body.block.forward(add(add(s, positions), tensor(signal(t)))).y
      const embedded = mul(model.embedding.forward(ids), Math.sqrt(tiny.dModel))
      expectClose(await read(body.forward(embedded).y), await read(s), 1e-5, 'outputs')
      model.dispose()
    })
  })

  test('halting at once: the first step alone, whichever way steps are weighted', async () => {
    await within(async () => {
      const run = async (config: Partial<UniversalTransformerConfig>): Promise<Float32Array> =>
        read(paper.build({ ...tiny, ...config }).forward(ids).y)
      const sure = { haltBias: 60 }
      const one = await run({ ...sure, steps: 1 })
      for (const halting of ['mixed', 'sum'] as const) {
        expectClose(await run({ ...sure, halting }), one, 1e-6, halting)
      }
      expect(await run({ halting: 'sum' })).not.toEqual(await run({ halting: 'mixed' }))
    })
  })
})
