import { type Embedding, type State, valueAndGrads } from '@mneme/core-tensor'
import { read, span, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { concat, mean, square, type Tensor, tensor2d } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import rmt1m from './rmt-1m.js'

const { tiny } = rmt1m
const ids = (from: number, size: number): Tensor =>
  tensor2d([Array.from({ length: size }, (_, t) => (from + t * t) % 13)], [1, size], 'int32')

describe('RMT as an encoder', () => {
  test('segments fed one call at a time are the segments of one call, the first of them short', async () => {
    await within(async () => {
      const model = rmt1m.build(tiny)
      const [a, b, c] = [ids(1, 3), ids(5, 7), ids(9, 7)]
      const first = model.forward(a)
      const second = model.forward(b, first.state)
      const third = model.forward(c, second.state)
      const whole = model.forward(concat([a, b, c], 1))
      const apart = concat([first.y, second.y, third.y], 1)
      expectClose(await read(whole.y), await read(apart), 1e-5, 'scores')
      const memory = ({ state }: { readonly state: State }): Tensor => (state as { readonly memory: Tensor }).memory
      expectClose(await read(memory(whole)), await read(memory(third)), 1e-5, 'memory')
      model.dispose()
    })
  })

  test('a segment reads the memory of the one before, and nothing of the one behind it', async () => {
    await within(async () => {
      const model = rmt1m.build(tiny)
      const run = async (...parts: Tensor[]) => read(model.forward(concat(parts, 1)).y)
      const [a, b, other] = [ids(1, 7), ids(5, 7), ids(2, 7)]
      const cells = 7 * tiny.vocabulary
      const scores = await run(a, b)
      expect((await run(other, b)).slice(cells)).not.toEqual(scores.slice(cells))
      expectClose((await run(a, other)).slice(0, cells), scores.slice(0, cells), 1e-6, 'first segment')
      model.dispose()
    })
  })

  test('gradients reach the first of three segments, unless they are cut', async () => {
    await within(async () => {
      for (const [backprop, reached] of [
        [0, true],
        [1, false],
      ] as const) {
        const model = rmt1m.build({ ...tiny, tieEmbeddings: false, backprop })
        const tokens = [...Array<number>(7).fill(0), ...Array<number>(7).fill(1), ...Array<number>(7).fill(2)]
        const x = tensor2d([tokens], [1, 21], 'int32')
        const last = (): Tensor => mean(square(span(model.forward(x).y, 14, 7)))
        const [grad] = valueAndGrads(last, [(model.embedding as Embedding).weight]).grads as [Tensor]
        const row = (await read(grad)).slice(0, tiny.dModel)
        expect(
          row.some((g) => g !== 0),
          `backprop ${backprop}`,
        ).toBe(reached)
        model.dispose()
      }
    })
  })

  test('memory tokens add M D values, and the marks 2 D', () => {
    const count = (memoryTokens: number): number => {
      const model = rmt1m.build({ ...tiny, memoryTokens })
      const total = model.parameterCount()
      expect(model.stateBytes(1e6)).toBe(4 * memoryTokens * tiny.dModel)
      model.dispose()
      return total
    }
    expect(count(2) - count(1)).toBe(tiny.dModel)
    expect(() => rmt1m.build({ ...tiny, positions: 11 })).toThrow('expected at least 12, for a segment with its memory')
  })
})
