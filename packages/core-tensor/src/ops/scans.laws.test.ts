import { read, within } from '@mneme/testing/subject'
import { expectClose, tolerances } from '@mneme/testing/tolerance'
import { concat, randomNormal, slice, type Tensor, tensor, tensor1d } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { vjp } from '../gradients.js'
import { complexLinearScan } from './complex-linear-scan.js'
import { linearScan } from './linear-scan.js'
import { selectiveScan } from './selective-scan.js'
import { wkv4 } from './wkv4.js'

/** A channel over time, `[1, T, 1]`. */
const sequence = (values: readonly number[]): Tensor => tensor([...values], [1, values.length, 1])
const normal = (shape: number[], seed: number): Tensor => randomNormal(shape, 0, 1, 'float32', seed)
const expectValues = async (actual: Tensor, expected: readonly number[], what: string): Promise<void> =>
  expectClose(await read(actual), expected, tolerances.forward(), what)

/** The tokens from `begin` on, in each of the inputs that has them. */
function during<K extends string>(
  inputs: Readonly<Record<K, Tensor>>,
  begin: number,
  count: number,
): Record<K, Tensor> {
  const parts = Object.entries<Tensor>(inputs).map(([name, x]) => {
    const [B, , D] = x.shape as [number, number, number]
    return [name, slice(x, [0, begin, 0], [B, count, D])]
  })
  return Object.fromEntries(parts) as Record<K, Tensor>
}

describe('complexLinearScan', () => {
  test('a factor of modulus 1 turns the state: three quarter turns of 1', () =>
    within(async () => {
      const zero = sequence([0, 0, 0])
      const { hr, hi } = complexLinearScan({
        ar: tensor1d([0]),
        ai: tensor1d([1]),
        br: zero,
        bi: zero,
        h0r: tensor([1], [1, 1]),
      })
      await expectValues(hr, [0, -1, 0], 'hr')
      await expectValues(hi, [1, 0, -1], 'hi')
    }))

  test('without imaginary parts it is the real scan', () =>
    within(async () => {
      const [a, b] = [normal([2, 7, 3], 1), normal([2, 7, 3], 2)]
      const none = tensor(new Float32Array(42), [2, 7, 3])
      const { hr, hi } = complexLinearScan({ ar: a, ai: none, br: b, bi: none })
      await expectValues(hr, [...(await read(linearScan({ a, b }).h))], 'hr')
      await expectValues(hi, [...(await read(none))], 'hi')
    }))
})

describe('selectiveScan', () => {
  test('a step of ln 2 halves the state', () =>
    within(async () => {
      // softplus(0) = ln 2
      const zero = sequence([0, 0, 0])
      const one = sequence([1, 1, 1])
      const { y } = selectiveScan({ u: sequence([1, 0, 0]), delta: zero, A: tensor([-1], [1, 1]), Bt: one, C: one })
      await expectValues(y, [Math.LN2, Math.LN2 / 2, Math.LN2 / 4], 'y')
    }))

  test('a token of delta = -1e9 is stepped over, and one of delta = 1e9 leaves nothing of the state', () =>
    within(async () => {
      const one = sequence([1, 1, 1])
      const call = (deltas: readonly number[]): Tensor =>
        selectiveScan({
          u: sequence([1, 5, 0]),
          delta: sequence(deltas),
          A: tensor([-1], [1, 1]),
          Bt: one,
          C: one,
        }).y
      await expectValues(call([0, -1e9, 0]), [Math.LN2, Math.LN2, Math.LN2 / 2], 'stepped over')
      expect((await read(call([0, 0, 1e9])))[2]).toBeLessThan(1e-30)
    }))

  test('two halves with the state between them are the whole', () =>
    within(async () => {
      const sequences = {
        u: normal([2, 9, 3], 1),
        delta: normal([2, 9, 3], 2),
        Bt: normal([2, 9, 5], 3),
        C: normal([2, 9, 5], 4),
      }
      const A = tensor(
        Float32Array.from({ length: 15 }, (_, i) => -0.1 * i),
        [3, 5],
      )
      const whole = selectiveScan({ ...sequences, A })
      const first = selectiveScan({ ...during(sequences, 0, 4), A })
      const second = selectiveScan({ ...during(sequences, 4, 5), A, state: first.state })
      await expectValues(concat([first.y, second.y], 1), [...(await read(whole.y))], 'y')
      await expectValues(second.state, [...(await read(whole.state))], 'state')
    }))
})

describe('wkv4', () => {
  const half = { timeDecay: tensor1d([Math.log(Math.LN2)]), timeFirst: tensor1d([0]) }

  test('a channel by hand', () =>
    within(async () => {
      const { y } = wkv4({ k: sequence([0, 0, 0]), v: sequence([1, 0, 0]), ...half })
      await expectValues(y, [1, 0.5, 0.2], 'y')
    }))

  test('a constant added to all keys changes nothing, however large', () =>
    within(async () => {
      const [k, v] = [
        [0.5, -1, 2, 0.25, -0.75],
        [1, 2, 3, 4, 5],
      ] as const
      // w = -1 and these keys are exact even beside 4096
      const parameters = { timeDecay: tensor1d([0]), timeFirst: tensor1d([0.5]) }
      const plain = wkv4({ k: sequence(k), v: sequence(v), ...parameters })
      for (const constant of [-4096, 4096]) {
        const moved = wkv4({ k: sequence(k.map((x) => x + constant)), v: sequence(v), ...parameters })
        await expectValues(moved.y, [...(await read(plain.y))], `y of keys + ${constant}`)
      }
    }))

  test('huge keys of either sign and extreme decays give finite outputs and gradients', () =>
    within(async () => {
      const values = [1e6, -1e6, 3, -1e4, 1e4, 0, 1e6]
      const xs = [sequence(values), sequence([1, -2, 3, -4, 5, -6, 7])] as const
      for (const decay of [-40, 80]) {
        const rest = [tensor1d([decay]), tensor1d([1e3])] as const
        const outputs = (): Tensor[] =>
          Object.values(wkv4({ k: xs[0], v: xs[1], timeDecay: rest[0], timeFirst: rest[1] }))
        const ys = outputs()
        for (const result of [...ys, ...vjp(outputs, [...xs, ...rest], ys)]) {
          expect((await read(result)).every(Number.isFinite)).toBe(true)
        }
      }
    }))

  test('a small decay is not lost beside a large key', () =>
    within(async () => {
      // 1e-6 a token is less than half a unit in the last place of 100; a thousand tokens make 1e-3 of it
      const v = sequence(Array.from({ length: 1000 }, (_, t) => (t === 0 ? 1 : 0)))
      const k = sequence(Array.from({ length: 1000 }, (_, t) => (t === 0 ? 100 : 0)))
      const slow = { timeDecay: tensor1d([Math.log(1e-6)]), timeFirst: tensor1d([100]) }
      const { y, max } = wkv4({ k, v, ...slow })
      expect((await read(max))[0]).toBeCloseTo(100 - 999e-6, 5)
      // e^(100 - 998e-6) of the first token beside e^100 of the current
      expect((await read(y))[999]).toBeCloseTo(1 / (1 + Math.exp(998e-6)), 5)
    }))

  test('padding leaves the state alone, at either end', () =>
    within(async () => {
      const sequences = { k: normal([2, 6, 3], 1), v: normal([2, 6, 3], 2) }
      const parameters = { timeDecay: tensor1d([-1, 0, 1]), timeFirst: tensor1d([0.5, 0, -0.5]) }
      const mask = tensor([0, 1, 1, 1, 1, 0, 0, 1, 1, 1, 1, 0], [2, 6])
      const padded = wkv4({ ...sequences, ...parameters, mask })
      const bare = wkv4({ ...during(sequences, 1, 4), ...parameters })
      await expectValues(during({ y: padded.y }, 1, 4).y, [...(await read(bare.y))], 'y')
      for (const name of ['num', 'den', 'max'] as const) {
        await expectValues(padded[name], [...(await read(bare[name]))], name)
      }
    }))
})
