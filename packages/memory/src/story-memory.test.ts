import { Rng } from '@mneme/core-tensor'
import { read, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { tensor2d, tensor3d } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { StoryMemory, wordWeights } from './story-memory.js'

const options = {
  vocabulary: 9,
  dModel: 5,
  hops: 3,
  sentences: 6,
  words: 'code',
  temporal: false,
  maskEmpty: true,
  std: 0.5,
} as const
const story = [
  [1, 2, 3],
  [4, 5, 0],
  [6, 7, 8],
]
const tokens = (rows: number[][]) => tensor3d([rows], undefined, 'int32')
const question = () => tensor2d([[2, 5, 0]], undefined, 'int32')

describe('StoryMemory', () => {
  test('weights of words by their place are those of the authors, by hand', async () => {
    await within(async () => {
      expectClose(await read(wordWeights('code', 2, 2)), [1.25, 0.75, 0.75, 1.25], 1e-6, 'code')
      expectClose(await read(wordWeights('paper', 2, 2)), [0.5, 0.5, 0.5, 1], 1e-6, 'paper')
      expectClose(await read(wordWeights('bag', 2, 2)), [1, 1, 1, 1], 0, 'bag')
    })
  })

  test('one hop over bags of words is one attention read: W (u + softmax(m·u) c)', async () => {
    await within(async () => {
      const model = new StoryMemory({ ...options, hops: 1, words: 'bag' }, new Rng(6))
      const [A, C] = await Promise.all(model.tables.map(read))
      const bag = (table: Float32Array | undefined, words: readonly number[]): number[] =>
        Array.from({ length: 5 }, (_, d) =>
          words.reduce((sum, w) => sum + (w === 0 ? 0 : (table?.[5 * w + d] as number)), 0),
        )
      const u = bag(A, [2, 5, 0])
      const dot = (a: readonly number[], b: readonly number[]): number =>
        a.reduce((sum, v, d) => sum + v * (b[d] as number), 0)
      const shares = story.map((sentence) => Math.exp(dot(bag(A, sentence), u)))
      const total = shares.reduce((a, b) => a + b)
      const values = story.map((sentence) => bag(C, sentence))
      const found = u.map(
        (v, d) => v + values.reduce((sum, c, i) => sum + (shares[i] as number) * (c[d] as number), 0) / total,
      )
      const expected = Array.from({ length: 9 }, (_, w) => dot(bag(C, [w]), found))
      expectClose(await read(model.forward(tokens(story), question())), expected, 1e-5, 'scores')
      model.dispose()
    })
  })

  test('tied from hop to hop it has K + 1 tables, and as many of times', () => {
    const model = new StoryMemory({ ...options, temporal: true }, new Rng(1))
    expect(model.parameterCount()).toBe(4 * (9 + 6) * 5)
    model.dispose()
  })

  test('without times sentences may stand in any order; with them they may not', async () => {
    await within(async () => {
      for (const temporal of [false, true]) {
        const model = new StoryMemory({ ...options, temporal }, new Rng(2))
        const straight = await read(model.forward(tokens(story), question()))
        const turned = await read(model.forward(tokens([...story].reverse()), question()))
        const gap = Math.max(...straight.map((v, i) => Math.abs(v - (turned[i] as number))))
        if (temporal) expect(gap).toBeGreaterThan(1e-3)
        else expect(gap).toBeLessThan(1e-5)
        model.dispose()
      }
    })
  })

  test('a sentence without words is left out, or as in the authors’ code takes its part of the attention', async () => {
    await within(async () => {
      const padded = [[0, 0, 0], ...story]
      const masked = new StoryMemory(options, new Rng(3))
      const plain = await read(masked.forward(tokens(story), question()))
      expectClose(await read(masked.forward(tokens(padded), question())), plain, 1e-5, 'masked')
      const open = new StoryMemory({ ...options, maskEmpty: false }, new Rng(3))
      const shared = await read(open.forward(tokens(padded), question()))
      expect(Math.max(...shared.map((v, i) => Math.abs(v - (plain[i] as number))))).toBeGreaterThan(1e-3)
      for (const model of [masked, open]) model.dispose()
    })
  })

  test('more sentences than it remembers are refused', () => {
    const model = new StoryMemory({ ...options, sentences: 2 }, new Rng(4))
    expect(() => model.forward(tokens(story), question())).toThrow(/expected at most 2 sentences, got 3/)
    model.dispose()
  })
})
