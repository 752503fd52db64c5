import { MinGRU } from '@mneme/recurrent'
import { read, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { add, concat, slice, type Tensor, type Tensor2D, tensor2d, zeros } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { normal } from '../init.js'
import { Rng } from '../rng.js'
import { LearnedPositions } from './learned-positions.js'

const D = 4
const inner = new MinGRU({ dModel: D, expansion: 1, h0: 'zero' }, new Rng(1))
const model = new LearnedPositions({ dModel: D, positions: 6, std: 1 }, inner, new Rng(2))
const draw = (T: number): Tensor => normal(new Rng(T), [1, T, D], 1)
const rows = (from: number, size: number): Tensor => slice(model.embedding.weight, [from, 0], [size, D])

describe('LearnedPositions', () => {
  test('each token bears the vector of its place, counted on from call to call', async () => {
    await within(async () => {
      const x = draw(5)
      const expected = await read(inner.forward(add(x, rows(0, 5))).y)
      const first = model.forward(slice(x, [0, 0, 0], [1, 2, D]))
      const second = model.forward(slice(x, [0, 2, 0], [1, 3, D]), first.state)
      expectClose(await read(concat([first.y, second.y], 1)), expected, 1e-6, 'outputs')
    })
  })

  test('a token that starts anew stands at 0, and padding takes no place', async () => {
    await within(async () => {
      const x = draw(5)
      const row = (...values: number[]): Tensor2D => tensor2d([values])
      const pass = { training: false, mask: row(1, 0, 1, 1, 1), resets: row(0, 0, 0, 1, 0) }
      const places = concat([rows(0, 1), zeros([1, D]), rows(1, 1), rows(0, 2)], 0)
      const expected = inner.forward(add(x, places), undefined, pass).y
      const actual = model.forward(x, undefined, pass)
      expectClose(await read(actual.y), await read(expected), 1e-6, 'outputs')
      expect(await read(actual.state.rowPositions as Tensor)).toEqual(Float32Array.of(2))
    })
  })

  test('more tokens than the table has vectors for are refused', async () => {
    await within(async () => {
      const { state } = model.forward(draw(6))
      expect(() => model.forward(draw(1), state)).toThrow('expected at most 6 tokens, got 7')
    })
  })
})
