import { normal, Rng } from '@mneme/core-tensor'
import { read, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { add, concat, fill, slice, type Tensor } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { LSTM } from './lstm.js'

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x))

/** Biases of the four gates, i, f, g and o. */
const biases = (E: number, ...values: readonly [number, number, number, number]): Tensor =>
  concat(values.map((value) => fill([E], value)))

describe('LSTM', () => {
  test.each([
    [5, 5],
    [4, 7],
  ])('D = %i, E = %i: 4 E (D + E) + 8 E parameters beside the output projection', (D, E) => {
    const mixer = new LSTM({ dModel: D, dHidden: E, forgetBias: 1 }, new Rng(1))
    expect(mixer.parameterCount()).toBe(4 * E * (D + E) + 8 * E + (D === E ? 0 : D * E))
    expect(Object.fromEntries(Array.from(mixer.namedParameters(), ([name, { shape }]) => [name, shape]))).toMatchObject(
      {
        weightIh: [4 * E, D],
        weightHh: [4 * E, E],
        biasIh: [4 * E],
        biasHh: [4 * E],
      },
    )
    mixer.dispose()
  })

  test('is the equations, gates in the order i, f, g, o', async () => {
    await within(async () => {
      const [D, T] = [3, 12]
      const mixer = new LSTM({ dModel: D, dHidden: D, forgetBias: null }, new Rng(2))
      const x = normal(new Rng(3), [1, T, D], 2)
      const [values, wi, wh, bi, bh] = await Promise.all(
        [x, mixer.weightIh, mixer.weightHh, mixer.biasIh, mixer.biasHh].map(read),
      )
      const at = (from: ArrayLike<number> | undefined, i: number): number => from?.[i] as number
      let h = [0, 0, 0]
      let c = [0, 0, 0]
      const expected: number[] = []
      for (let t = 0; t < T; t++) {
        const gate = (g: number, e: number): number =>
          [0, 1, 2].reduce(
            (sum, d) =>
              sum + at(wi, (g * D + e) * D + d) * at(values, t * D + d) + at(wh, (g * D + e) * D + d) * at(h, d),
            at(bi, g * D + e) + at(bh, g * D + e),
          )
        c = c.map((cell, e) => sigmoid(gate(1, e)) * cell + sigmoid(gate(0, e)) * Math.tanh(gate(2, e)))
        h = c.map((cell, e) => sigmoid(gate(3, e)) * Math.tanh(cell))
        expected.push(...h)
      }
      const { y, state } = mixer.forward(x)
      expectClose(await read(y), expected, 1e-5, 'outputs')
      expectClose(await read(state.c), c, 1e-5, 'cell')
      mixer.dispose()
    })
  })

  test('the two biases of the forget gate add up to what is asked for, and no other is touched', async () => {
    await within(async () => {
      const E = 4
      const plain = new LSTM({ dModel: E, dHidden: E, forgetBias: null }, new Rng(4))
      const set = new LSTM({ dModel: E, dHidden: E, forgetBias: 1.5 }, new Rng(4))
      const sum = await read(add(set.biasIh, set.biasHh))
      const before = await read(add(plain.biasIh, plain.biasHh))
      expect([...sum]).toEqual([...before].map((value, i) => (i >= E && i < 2 * E ? 1.5 : value)))
      plain.dispose()
      set.dispose()
    })
  })

  test('with the input gate at 0 and the forget gate at 1 the cell keeps its state', async () => {
    await within(async () => {
      const mixer = new LSTM({ dModel: 4, dHidden: 4, forgetBias: 1 }, new Rng(5))
      mixer.biasIh.assign(biases(4, -200, 200, 0, 0))
      const before = { h: normal(new Rng(6), [2, 4], 1), c: normal(new Rng(7), [2, 4], 1) }
      const { state } = mixer.forward(normal(new Rng(8), [2, 9, 4], 1), before)
      expectClose(await read(state.c), await read(before.c), 1e-6, 'cell')
      mixer.dispose()
    })
  })

  test('an output gate at 0 shows nothing, and the cell goes on', async () => {
    await within(async () => {
      const mixer = new LSTM({ dModel: 4, dHidden: 4, forgetBias: 1 }, new Rng(9))
      mixer.biasIh.assign(biases(4, 0, 0, 1, -200))
      const { y, state } = mixer.forward(normal(new Rng(10), [2, 9, 4], 1))
      expectClose(await read(slice(y, [0, 8, 0], [2, 1, 4])), new Array(8).fill(0), 1e-6, 'output')
      expect(Math.max(...(await read(state.c)).map(Math.abs))).toBeGreaterThan(0.1)
      mixer.dispose()
    })
  })
})
