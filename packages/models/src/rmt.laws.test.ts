import { type Embedding, type SegmentRecurrent, type State, valueAndGrads } from '@mneme/core-tensor'
import type { MemoryTokens, MemoryTokensState } from '@mneme/memory/memory-tokens'
import { type GoldenTensor, goldenDirectory, goldens, toTensor } from '@mneme/testing/goldens'
import { read, span, within } from '@mneme/testing/subject'
import { expectClose, tolerances } from '@mneme/testing/tolerance'
import {
  add,
  concat,
  mean,
  slice,
  square,
  type Tensor,
  tensor2d,
  type Variable,
  zerosLike,
} from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { fromPretrained } from './pretrained.js'
import rmt, { moreTiny, type RmtConfig } from './rmt.js'
import transformer from './transformer.js'

const { tiny } = rmt
const ids = (...values: number[]): Tensor => tensor2d([values], [1, values.length], 'int32')

describe('recurrent memory transformer', () => {
  test('no memory tokens: each segment is the plain model by itself', async () => {
    await within(async () => {
      const config = { ...tiny, memoryTokens: 0 }
      const model = rmt.build(config)
      const { positions, activation, scaled, scaledByLayer } = config
      const gpt2 = { positions, activation, scaled, scaledByLayer }
      const plain = transformer.build({ ...transformer.config, ...config, form: 'gpt2', gpt2 })
      const inPlain = (path: string): string =>
        path.replace('body.inner.', 'body.').replace('body.inner.outputNorm', 'norm')
      const dict = Object.entries(await model.stateDict()).map(([path, value]) => [inPlain(path), value] as const)
      plain.loadStateDict(Object.fromEntries(dict))
      const [a, b] = [ids(1, 2, 3, 4, 5), ids(6, 7, 8, 9, 10)]
      const apart = concat([plain.forward(a).y, plain.forward(b).y], 1)
      expectClose(await read(model.forward(concat([a, b], 1)).y), await read(apart), 1e-6, 'scores')
      model.dispose()
      plain.dispose()
    })
  })

  test('one segment: the base model behind M prompt vectors, whatever stands behind the segment', async () => {
    await within(async () => {
      const x = ids(1, 2, 3, 4, 5)
      for (const ownPositions of [false, true]) {
        const model = rmt.build({ ...tiny, ownPositions })
        const { inner, carry, positions } = model.body as unknown as SegmentRecurrent<MemoryTokensState>
        const tokens = model.embedding.forward(x)
        const placed = positions ? add(tokens, slice(positions.weight, [0, 0], [5, -1])) : tokens
        const prompts = carry.before(carry.initialState(1)) as Tensor
        const expected = slice(inner.forward(concat([prompts, placed], 1)).y, [0, tiny.memoryTokens, 0], [-1, 5, -1])
        expectClose(await read(model.body.forward(tokens).y), await read(expected), 1e-5, 'outputs')
        if (!ownPositions) continue
        const scores = await read(model.forward(x).y)
        const back = (carry as MemoryTokens).backPositions as Variable
        back.assign(zerosLike(back))
        expect(await read(model.forward(x).y)).toEqual(scores)
        model.dispose()
      }
    })
  })

  test('memory tokens add M D values, and 2 M D more where they have positions of their own', () => {
    const count = (config: RmtConfig): number => {
      const model = rmt.build(config)
      const total = model.parameterCount()
      model.dispose()
      return total
    }
    for (const ownPositions of [false, true]) {
      const added = count({ ...tiny, ownPositions }) - count({ ...tiny, ownPositions, memoryTokens: 0 })
      expect(added).toBe((ownPositions ? 3 : 1) * tiny.memoryTokens * tiny.dModel)
    }
  })

  test('gradients reach the tokens of the first of three segments, unless they are cut', async () => {
    await within(async () => {
      for (const [backprop, uncut, reached] of [
        [0, false, true],
        [1, false, false],
        [1, true, true],
      ] as const) {
        const model = rmt.build({ ...tiny, tieEmbeddings: false, backprop, uncut })
        const x = ids(0, 1, 0, 1, 0, 2, 3, 2, 3, 2, 4, 5, 4, 5, 4)
        const last = (): Tensor => mean(square(span(model.forward(x).y, 10, 5)))
        const [grad] = valueAndGrads(last, [(model.embedding as Embedding).weight]).grads as [Tensor]
        const first = (await read(grad)).slice(0, 2 * tiny.dModel)
        expect(
          first.some((g) => g !== 0),
          `backprop ${backprop}, uncut ${uncut}`,
        ).toBe(reached)
        model.dispose()
      }
    })
  })

  test('what went before changes a segment through the memory alone', async () => {
    await within(async () => {
      const model = rmt.build(tiny)
      const [one, other, next] = [ids(1, 2, 3, 4, 5), ids(6, 7, 8, 9, 10), ids(11, 12, 1, 2)]
      const carried = model.forward(one).state as { readonly carried: State }
      const swapped = { ...(model.forward(other).state as object), carried: carried.carried } as State
      const expected = await read(model.forward(next, carried).y)
      expect(await read(model.forward(next, swapped).y)).toEqual(expected)
      expect(await read(model.forward(next, model.forward(other).state).y)).not.toEqual(expected)
      model.dispose()
    })
  })

  test('the first segment short, the others full: as if it were fed apart', async () => {
    await within(async () => {
      const model = rmt.build(moreTiny['the first segment short'] as RmtConfig)
      const [a, b, c] = [ids(1, 2), ids(3, 4, 5, 6, 7), ids(8, 9, 10, 11, 12)]
      const first = model.forward(a)
      const second = model.forward(b, first.state)
      const apart = concat([first.y, second.y, model.forward(c, second.state).y], 1)
      expectClose(await read(model.forward(concat([a, b, c], 1)).y), await read(apart), 1e-5, 'scores')
      model.dispose()
    })
  })

  test('a table of positions that a segment does not fit into is refused', () => {
    expect(() => rmt.build({ ...tiny, positions: 8 })).toThrow(
      'expected at least 9, for a segment with its memory, got 8',
    )
  })
})

for (const golden of goldens()) {
  if (!golden.files.includes('config.json')) continue
  const config = golden.json('config')
  if (!String(config.reference ?? '').endsWith('RecurrentWrapper(MemoryCell(GPT2LMHeadModel))')) continue
  test(`golden ${golden.name}: the memory after every segment`, async () => {
    await within(async () => {
      const { model } = await fromPretrained(goldenDirectory(golden))
      const expected = golden.read('expected')
      const tokens = toTensor(expected.get('input_ids') as GoldenTensor)
      const [T, L] = [tokens.shape[1] as number, config.segment_size as number]
      const first = config.segment_alignment === 'right' ? T % L || L : L
      for (let s = 0; first + s * L <= T; s++) {
        const { carried } = model.forward(span(tokens, 0, first + s * L)).state as unknown as { carried: Tensor }
        const wanted = (expected.get(`memory_after_segment.${s}`) as GoldenTensor).values
        expectClose(await read(carried), wanted, tolerances.forward(), `after segment ${s}`)
      }
      model.dispose()
    })
  })
}
