import { normal, Rng } from '@mneme/core-tensor'
import { read, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { concat, fill, slice, type Tensor, zeros } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { GRU } from './gru.js'

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x))

/** Biases of the three gates, r, z and n. */
const biases = (E: number, ...values: readonly [number, number, number]): Tensor =>
  concat(values.map((value) => fill([E], value)))

describe('GRU', () => {
  test.each([
    [5, 5],
    [4, 7],
  ])('D = %i, E = %i: 3 E (D + E) + 6 E parameters beside the output projection', (D, E) => {
    const mixer = new GRU({ dModel: D, dHidden: E }, new Rng(1))
    expect(mixer.parameterCount()).toBe(3 * E * (D + E) + 6 * E + (D === E ? 0 : D * E))
    expect(Object.fromEntries(Array.from(mixer.namedParameters(), ([name, { shape }]) => [name, shape]))).toMatchObject(
      {
        weightIh: [3 * E, D],
        weightHh: [3 * E, E],
        biasIh: [3 * E],
        biasHh: [3 * E],
      },
    )
    mixer.dispose()
  })

  test('is the equations, gates in the order r, z, n', async () => {
    await within(async () => {
      const [D, T] = [3, 12]
      const mixer = new GRU({ dModel: D, dHidden: D }, new Rng(2))
      const x = normal(new Rng(3), [1, T, D], 2)
      const [values, wi, wh, bi, bh] = await Promise.all(
        [x, mixer.weightIh, mixer.weightHh, mixer.biasIh, mixer.biasHh].map(read),
      )
      const at = (from: ArrayLike<number> | undefined, i: number): number => from?.[i] as number
      let h = [0, 0, 0]
      const expected: number[] = []
      for (let t = 0; t < T; t++) {
        const part = (gate: number, e: number, w: ArrayLike<number> | undefined, from: (d: number) => number): number =>
          [0, 1, 2].reduce((sum, d) => sum + at(w, (gate * D + e) * D + d) * from(d), 0)
        const given = (gate: number, e: number): number =>
          at(bi, gate * D + e) + part(gate, e, wi, (d) => at(values, t * D + d))
        const last = (gate: number, e: number): number => at(bh, gate * D + e) + part(gate, e, wh, (d) => at(h, d))
        h = [0, 1, 2].map((e) => {
          const r = sigmoid(given(0, e) + last(0, e))
          const z = sigmoid(given(1, e) + last(1, e))
          return (1 - z) * Math.tanh(given(2, e) + r * last(2, e)) + z * at(h, e)
        })
        expected.push(...h)
      }
      expectClose(await read(mixer.forward(x).y), expected, 1e-5, 'outputs')
      mixer.dispose()
    })
  })

  test('an update gate at 1 keeps the state', async () => {
    await within(async () => {
      const mixer = new GRU({ dModel: 4, dHidden: 4 }, new Rng(4))
      mixer.biasIh.assign(biases(4, 0, 200, 0))
      const h = normal(new Rng(5), [2, 4], 1)
      const { state } = mixer.forward(normal(new Rng(6), [2, 9, 4], 1), h)
      expectClose(await read(state), await read(h), 1e-6, 'state')
      mixer.dispose()
    })
  })

  test('with reset and update gates at 0 nothing of the state is left', async () => {
    await within(async () => {
      const mixer = new GRU({ dModel: 4, dHidden: 4 }, new Rng(7))
      mixer.biasIh.assign(biases(4, -200, -200, 0))
      const x = normal(new Rng(8), [2, 9, 4], 1)
      const whole = mixer.forward(x, normal(new Rng(9), [2, 4], 1)).y
      const alone = mixer.forward(slice(x, [0, 8, 0], [2, 1, 4]), zeros([2, 4])).y
      expectClose(await read(slice(whole, [0, 8, 0], [2, 1, 4])), await read(alone), 1e-6, 'last token')
      mixer.dispose()
    })
  })
})
