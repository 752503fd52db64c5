import { read, within } from '@mneme/testing/subject'
import { expectClose, tolerances } from '@mneme/testing/tolerance'
import { fill, type Tensor, tensor } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { vjp } from '../gradients.js'
import { Rng } from '../rng.js'
import { complexLinearScan } from './complex-linear-scan.js'
import { linearScan } from './linear-scan.js'
import { mlstm } from './mlstm.js'
import { selectiveScan } from './selective-scan.js'
import { wkv4 } from './wkv4.js'

/** The references keep a tensor for every doubling, or a product for every chunk: they are asked at fewer tokens. */
const LONG = process.env.MNEME_BACKEND === 'cpu' ? 2_000 : 100_000

/**
 * Where nothing is forgotten, every token adds a rounding of 2^-24 that stays: T of them bound what float32 can do token
 * by token (Higham 2002, Accuracy and Stability of Numerical Algorithms, section 4.2). Else only the last few stand.
 */
const limit = (decays: string): number => Math.max(tolerances.forward(), decays === 'near 1' ? LONG * 2 ** -24 : 0)

type Values = Record<string, Float32Array>
type Outcome = Record<string, ArrayLike<number>>

/** Decays along time: those that forget nearly nothing, nearly everything, and either by chance. */
const decays: Readonly<Record<string, (x: number) => number>> = {
  'near 1': (x) => 1 - 1e-6 * Math.abs(x),
  'near 0': (x) => 1e-30 * Math.abs(x),
  'of 0 and 1': (x) => (x > 0 ? 1 : 0),
}

interface Long {
  readonly name: string
  readonly shapes: Readonly<Record<string, readonly number[]>>
  /** Inputs that stand for a decay, from what is drawn and the decay that is asked for. */
  decayed(drawn: Values, decay: (x: number) => number): Values
  call(given: Record<string, Tensor>): object
  /** In float64, token by token; outputs by name. */
  recurrence(given: Values): Outcome
}

const at = (x: ArrayLike<number> | undefined, i: number): number => (x as ArrayLike<number>)[i] as number
const softplus = (x: number): number => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)))
const logOf = (x: number): number => Math.max(Math.log(x), -80)
const one = [1, LONG, 1] as const

const scans: readonly Long[] = [
  {
    name: 'linearScan',
    shapes: { a: one, b: one },
    decayed: ({ a }, decay) => ({ a: (a as Float32Array).map(decay) }),
    call: ({ a, b }) => linearScan({ a: a as Tensor, b: b as Tensor }),
    recurrence({ a, b }) {
      const h = new Float64Array(LONG)
      for (let t = 0, x = 0; t < LONG; t++) h[t] = x = at(a, t) * x + at(b, t)
      return { h }
    },
  },
  {
    name: 'complexLinearScan',
    shapes: { ar: one, ai: one, br: one, bi: one },
    // a decay that turns by a tenth of a circle at every token
    decayed: ({ ar }, decay) => ({
      ar: (ar as Float32Array).map((x) => decay(x) * Math.cos(Math.PI / 5)),
      ai: (ar as Float32Array).map((x) => decay(x) * Math.sin(Math.PI / 5)),
    }),
    call: ({ ar, ai, br, bi }) =>
      complexLinearScan({ ar: ar as Tensor, ai: ai as Tensor, br: br as Tensor, bi: bi as Tensor }),
    recurrence({ ar, ai, br, bi }) {
      const [hr, hi] = [new Float64Array(LONG), new Float64Array(LONG)]
      let [x, y] = [0, 0]
      for (let t = 0; t < LONG; t++) {
        const [re, im] = [at(ar, t), at(ai, t)]
        ;[x, y] = [re * x - im * y + at(br, t), re * y + im * x + at(bi, t)]
        hr[t] = x
        hi[t] = y
      }
      return { hr, hi }
    },
  },
  {
    name: 'selectiveScan',
    shapes: { u: one, delta: one, A: [1, 2], Bt: [1, LONG, 2], C: [1, LONG, 2] },
    // the logarithm of the decay is A times the step
    decayed: ({ delta }, decay) => ({
      A: new Float32Array([-1, -0.5]),
      delta: (delta as Float32Array).map((x) => Math.log(Math.expm1(Math.max(-logOf(decay(x)), 1e-6)))),
    }),
    call: ({ u, delta, A, Bt, C }) =>
      selectiveScan({ u, delta, A, Bt, C } as unknown as Parameters<typeof selectiveScan>[0]),
    recurrence({ u, delta, A, Bt, C }) {
      const [y, state] = [new Float64Array(LONG), new Float64Array(2)]
      for (let t = 0; t < LONG; t++) {
        const step = softplus(at(delta, t))
        for (const n of [0, 1]) {
          state[n] = Math.exp(step * at(A, n)) * at(state, n) + step * at(Bt, 2 * t + n) * at(u, t)
          y[t] = at(y, t) + at(C, 2 * t + n) * at(state, n)
        }
      }
      return { y, state }
    },
  },
  {
    name: 'wkv4',
    shapes: { k: one, v: one, timeDecay: [1], timeFirst: [1] },
    // one decay for all tokens: where decays differ, the first counts
    decayed: ({ k }, decay) => ({
      timeDecay: new Float32Array([Math.log(Math.max(-logOf(decay(at(k, 0))), 1e-6))]),
    }),
    call: ({ k, v, timeDecay, timeFirst }) =>
      wkv4({ k, v, timeDecay, timeFirst } as unknown as Parameters<typeof wkv4>[0]),
    recurrence({ k, v, timeDecay, timeFirst }) {
      const y = new Float64Array(LONG)
      const decay = Math.exp(-Math.exp(at(timeDecay, 0)))
      let [num, den] = [0, 0]
      for (let t = 0; t < LONG; t++) {
        const [here, now] = [Math.exp(at(k, t)), Math.exp(at(k, t) + at(timeFirst, 0))]
        y[t] = (num + now * at(v, t)) / (den + now)
        num = decay * num + here * at(v, t)
        den = decay * den + here
      }
      return { y }
    },
  },
  {
    name: 'mlstm',
    shapes: { q: [1, LONG, 1, 1], k: [1, LONG, 1, 1], v: [1, LONG, 1, 1], inputGate: one, forgetGate: one },
    // the decay is the sigmoid of the gate
    decayed: ({ forgetGate }, decay) => ({
      forgetGate: (forgetGate as Float32Array).map((x) => {
        const p = decay(x)
        return Math.min(80, logOf(p) - logOf(1 - p))
      }),
    }),
    call: ({ q, k, v, inputGate, forgetGate }) =>
      mlstm({ q, k, v, inputGate, forgetGate } as unknown as Parameters<typeof mlstm>[0], { scale: 1 }),
    recurrence({ q, k, v, inputGate, forgetGate }) {
      const h = new Float64Array(LONG)
      let [C, n, m] = [0, 0, 0]
      for (let t = 0; t < LONG; t++) {
        const [log, i] = [-softplus(-at(forgetGate, t)), at(inputGate, t)]
        const top = Math.max(log + m, i)
        const [kept, written] = [Math.exp(log + m - top), Math.exp(i - top)]
        C = kept * C + written * at(k, t) * at(v, t)
        n = kept * n + written * at(k, t)
        m = top
        h[t] = (at(q, t) * C) / Math.max(Math.abs(at(q, t) * n), Math.exp(-m))
      }
      return { h }
    },
  },
]

describe.each(scans)(`$name over ${LONG} tokens`, ({ shapes, decayed, call, recurrence }) => {
  test.each(Object.entries(decays))('decays %s: values as in float64, gradients finite', (kind, decay) =>
    within(async () => {
      const drawn = Object.fromEntries(
        Object.entries(shapes).map(([name, shape], i) => {
          const rng = new Rng(i + 1)
          const count = shape.reduce((product, n) => product * n, 1)
          return [name, Float32Array.from({ length: count }, () => rng.normal())]
        }),
      )
      const values = { ...drawn, ...decayed(drawn, decay) }
      const given = Object.fromEntries(
        Object.entries(shapes).map(([name, shape]) => [name, tensor(values[name] as Float32Array, [...shape])]),
      )
      const outputs = call(given) as Record<string, Tensor>
      for (const [name, expected] of Object.entries(recurrence(values))) {
        expectClose(await read(outputs[name] as Tensor), expected, limit(kind), name)
      }
      const gradients = vjp(
        () => Object.values(call(given) as Record<string, Tensor>),
        Object.values(given),
        Object.values(outputs).map(({ shape }) => fill(shape, 1)),
      )
      for (const gradient of gradients) expect((await read(gradient)).every(Number.isFinite)).toBe(true)
    }),
  )
})
