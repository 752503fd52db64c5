import { read, within } from '@mneme/testing/subject'
import { expectClose, tolerances } from '@mneme/testing/tolerance'
import { concat, fill, slice, type Tensor, tensor, zeros } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { vjp } from '../gradients.js'
import { Rng } from '../rng.js'
import { type MlstmInputs, type MlstmOutputs, mlstm } from './mlstm.js'
import { normalisedLinearAttention } from './normalised-linear-attention.js'

const [B, T, H, K, V] = [2, 19, 2, 4, 3]

function normal(seed: number, shape: number[], f = (x: number): number => x): Tensor {
  const rng = new Rng(seed)
  const size = shape.reduce((a, b) => a * b, 1)
  return tensor(
    Float32Array.from({ length: size }, () => f(rng.normal())),
    shape,
  )
}

/** Gates of `size`, which may be far beyond what an exponential bears. */
function inputs(size: number): MlstmInputs {
  return {
    q: normal(1, [B, T, H, K]),
    k: normal(2, [B, T, H, K]),
    v: normal(3, [B, T, H, V]),
    inputGate: normal(4, [B, T, H], (x) => size * x),
    forgetGate: normal(5, [B, T, H], (x) => size * x),
  }
}

const between = <X extends object>(given: X, from: number, to: number): X =>
  Object.fromEntries(
    Object.entries(given).map(([name, x]: [string, Tensor]) => [
      name,
      slice(x, [0, from, ...x.shape.slice(2).map(() => 0)], [B, to - from, ...x.shape.slice(2)]),
    ]),
  ) as X

const logSigmoid = (x: number): number => Math.min(x, 0) - Math.log1p(Math.exp(-Math.abs(x)))

/** The recurrence as it is written, in float64. */
async function recurrence(given: MlstmInputs): Promise<{ h: Float64Array; m: Float64Array }> {
  const [q, k, v, i, f] = (await Promise.all(
    [given.q, given.k, given.v, given.inputGate, given.forgetGate].map((x) => read(x)),
  )) as [Float32Array, Float32Array, Float32Array, Float32Array, Float32Array]
  const h = new Float64Array(v.length)
  const ms = new Float64Array(B * H)
  for (let n = 0; n < B * H; n++) {
    const C = new Float64Array(K * V)
    const z = new Float64Array(K)
    let m = 0
    for (let t = 0; t < T; t++) {
      const at = (Math.floor(n / H) * T + t) * H + (n % H)
      const before = logSigmoid(f[at] as number) + m
      m = Math.max(before, i[at] as number)
      const [kept, added] = [Math.exp(before - m), Math.exp((i[at] as number) - m)]
      let denominator = 0
      for (let a = 0; a < K; a++) {
        z[a] = kept * (z[a] as number) + added * (k[at * K + a] as number)
        const query = (q[at * K + a] as number) / Math.sqrt(K)
        denominator += query * (z[a] as number)
        for (let b = 0; b < V; b++) {
          const c = kept * (C[a * V + b] as number) + added * (k[at * K + a] as number) * (v[at * V + b] as number)
          C[a * V + b] = c
          h[at * V + b] = (h[at * V + b] as number) + query * c
        }
      }
      const divisor = Math.max(Math.abs(denominator), Math.exp(-m)) + 1e-6
      for (let b = 0; b < V; b++) h[at * V + b] = (h[at * V + b] as number) / divisor
    }
    ms[n] = m
  }
  return { h, m: ms }
}

describe('mlstm', () => {
  // rounding of a large gate is that much of its exponential
  test.each([
    [1, tolerances.forward],
    [30, tolerances.gradient],
    [1000, tolerances.gradient],
  ])('gates of size %d: values as in float64, gradients finite', (size, limit) =>
    within(async () => {
      const given = inputs(size)
      const { h, m } = mlstm(given)
      const expected = await recurrence(given)
      expectClose(await read(h), expected.h, limit(), 'h')
      expectClose(await read(m), expected.m, tolerances.forward(), 'm')
      const xs = Object.values(given) as Tensor[]
      const dys = (outputs: MlstmOutputs): Tensor[] => Object.values(outputs).map((y: Tensor) => fill(y.shape, 1))
      for (const grad of vjp(() => Object.values(mlstm(given)), xs, dys(mlstm(given)))) {
        expect((await read(grad)).every(Number.isFinite)).toBe(true)
      }
    }),
  )

  test('a worked example: equal gates and half a decay', () =>
    within(async () => {
      const one = fill([1, 2, 1, 1], 1)
      const gate = zeros([1, 2, 1])
      const { h, C, n, m } = mlstm({ q: one, k: one, v: one, inputGate: gate, forgetGate: gate })
      const values = await Promise.all([h, C, n, m].map((x) => read(x)))
      expectClose(
        values.flatMap((x) => [...x]),
        [1, 1, 1.5, 1.5, 0],
        tolerances.forward(),
        'h, C, n, m',
      )
    }))

  test.each([1, 7, 18])('split at token %i with the state carried: the same as whole, resets too', (at) =>
    within(async () => {
      const given = { ...inputs(3), resets: normal(6, [B, T], (x) => (x > 1 ? 1 : 0)) }
      const whole = mlstm(given)
      const { h, ...state } = mlstm(between(given, 0, at))
      const second = mlstm({ ...between(given, at, T), ...state })
      expectClose(await read(concat([h, second.h], 1)), await read(whole.h), tolerances.forward(), 'h')
      for (const name of ['C', 'n', 'm'] as const) {
        expectClose(await read(second[name]), await read(whole[name]), tolerances.forward(), name)
      }
    }),
  )

  test('a reset starts as an empty state does', () =>
    within(async () => {
      const given = inputs(3)
      const resets = tensor(
        Array.from({ length: B * T }, (_, i) => (i % T === 8 ? 1 : 0)),
        [B, T],
      )
      const { h, ...state } = mlstm({ ...given, resets })
      const { h: expected, ...expectedState } = mlstm(between(given, 8, T))
      const after = slice(h, [0, 8, 0, 0], [B, T - 8, H, V])
      expectClose(await read(after), await read(expected), tolerances.forward(), 'h')
      for (const name of ['C', 'n', 'm'] as const) {
        expectClose(await read(state[name]), await read(expectedState[name]), tolerances.forward(), name)
      }
    }))

  test('open gates and positive products: linear attention whose weights sum to one', () =>
    within(async () => {
      const { v } = inputs(1)
      const [q, k] = [normal(7, [B, T, H, K], Math.abs), normal(8, [B, T, H, K], Math.abs)]
      // input gates of e^3 lift every denominator over its floor
      const [inputGate, forgetGate] = [fill([B, T, H], 3), fill([B, T, H], 100)]
      const { h } = mlstm({ q, k, v, inputGate, forgetGate }, { eps: 0 })
      const { o } = normalisedLinearAttention({ q, k, v }, { eps: 0 })
      expectClose(await read(h), await read(o), tolerances.forward(), 'h')
    }))
})
