import { onBackend, read, span, within } from '@mneme/testing/subject'
import { expectClose, tolerances } from '@mneme/testing/tolerance'
import {
  abs,
  concat,
  exp,
  expandDims,
  eye,
  fill,
  greater,
  mul,
  neg,
  ones,
  reshape,
  sigmoid,
  type Tensor,
  tile,
  zeros,
} from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { vjp } from '../gradients.js'
import { normal } from '../init.js'
import { unitLength } from '../nn/norm.js'
import { Rng } from '../rng.js'
import { deltaRule } from './delta-rule.js'
import { dplrDeltaRule } from './dplr-delta-rule.js'
import { gatedLinearAttention } from './gated-linear-attention.js'

const [B, T, H, K, V] = [2, 21, 2, 4, 3]
/** Only the kernels are fast enough for as many tokens as they must bear. */
const LONG = process.env.MNEME_BACKEND === 'wasm' ? 100_000 : 1_000

interface Outcome {
  readonly o: Tensor
  readonly state: Tensor
}

const drawn = (seed: number, shape: readonly number[]): Tensor => normal(new Rng(seed), shape, 1)
const shared = () => ({
  q: drawn(1, [B, T, H, K]),
  k: unitLength(drawn(2, [B, T, H, K])),
  v: drawn(3, [B, T, H, V]),
  state: drawn(4, [B, H, K, V]),
})
const gated = () => ({ ...shared(), beta: sigmoid(drawn(5, [B, T, H])), logDecay: neg(abs(drawn(6, [B, T, H]))) })
const lowRank = () => ({
  ...shared(),
  a: unitLength(drawn(7, [B, T, H, K])),
  b: unitLength(drawn(8, [B, T, H, K])),
  logDecay: neg(abs(drawn(9, [B, T, H, K]))),
})
const rareResets = (): Tensor => mul(greater(drawn(10, [B, T]), 1), 1)

async function expectSame(actual: Outcome, expected: Outcome): Promise<void> {
  expectClose(await read(actual.o), await read(expected.o), tolerances.forward(), 'o')
  expectClose(await read(actual.state), await read(expected.state), tolerances.forward(), 'state')
}

/** Both outputs, and the gradients of a sum of them by x, agree. */
async function expectSameGradients(
  one: (x: Tensor) => Outcome,
  other: (x: Tensor) => Outcome,
  x: Tensor,
  what: string,
): Promise<void> {
  await expectSame(one(x), other(x))
  const slope = (f: (x: Tensor) => Outcome): Tensor =>
    vjp(() => Object.values(f(x)), [x], [drawn(11, [B, T, H, V]), drawn(12, [B, H, K, V])])[0] as Tensor
  expectClose(await read(slope(one)), await read(slope(other)), tolerances.gradient(), `gradient by ${what}`)
}

/** Tokens [from, to) of everything but the state. */
const between = <X extends object>(given: X, from: number, to: number): X =>
  Object.fromEntries(
    Object.entries(given).map(([name, x]: [string, Tensor]) => [name, name === 'state' ? x : span(x, from, to - from)]),
  ) as X

describe('identities of deltaRule', () => {
  test('orthonormal keys and β = 1: every value is stored, and read back exactly at the end', () =>
    within(async () => {
      const k = reshape(eye(6), [1, 6, 1, 6])
      const v = drawn(1, [1, 6, 1, V])
      const { state } = deltaRule({ q: k, k, v, beta: ones([1, 6, 1]) })
      expectClose(await read(state), await read(v), 1e-7, 'state')
    }))

  test('a decay of 1 is none', () =>
    within(() => {
      const { logDecay: _, v, ...others } = gated()
      return expectSameGradients(
        (x) => deltaRule({ ...others, v: x, logDecay: zeros([B, T, H]) }),
        (x) => deltaRule({ ...others, v: x }),
        v,
        'v',
      )
    }))

  test.each([1, 2, 8, 64])('chunk %i does not matter', (chunk) =>
    within(() => {
      const { k, ...others } = gated()
      return expectSameGradients(
        (x) => deltaRule({ ...others, k: x }, { chunk }),
        (x) => deltaRule({ ...others, k: x }, { chunk: 16 }),
        k,
        'k',
      )
    }),
  )

  test.each([1, 10, 20])('split at token %i with the state carried: the same as whole', (at) =>
    within(async () => {
      for (const extra of [{}, { resets: rareResets() }]) {
        const given = { ...gated(), ...extra }
        const first = deltaRule(between(given, 0, at))
        const second = deltaRule({ ...between(given, at, T), state: first.state })
        await expectSame({ o: concat([first.o, second.o], 1), state: second.state }, deltaRule(given))
      }
    }),
  )
})

describe('identities of dplrDeltaRule', () => {
  test('a = -k and b = β k without decay, β k written: the delta rule', () =>
    within(() => {
      const { logDecay: _, beta, k, ...others } = gated()
      const rate = expandDims(beta, 3)
      return expectSameGradients(
        (x) => dplrDeltaRule({ ...others, k: mul(x, rate), a: neg(x), b: mul(x, rate) }),
        (x) => deltaRule({ ...others, beta, k: x }),
        k,
        'k',
      )
    }))

  test('a = -α k, b = β k and one decay for all channels: the gated delta rule', () =>
    within(() => {
      const { logDecay, beta, k, ...others } = gated()
      const written = mul(k, expandDims(beta, 3))
      const channels = (x: Tensor): Tensor => tile(expandDims(x, 3), [1, 1, 1, K])
      return expectSameGradients(
        (x) =>
          dplrDeltaRule({
            ...others,
            k: written,
            a: neg(mul(k, expandDims(exp(x), 3))),
            b: written,
            logDecay: channels(x),
          }),
        (x) => deltaRule({ ...others, beta, k, logDecay: x }),
        logDecay,
        'logDecay',
      )
    }))

  test('a = 0 or b = 0: gated linear attention', () =>
    within(async () => {
      const { a, b, ...others } = lowRank()
      const expected = gatedLinearAttention(others)
      const none = zeros([B, T, H, K])
      await expectSame(dplrDeltaRule({ ...others, a: none, b }), expected)
      await expectSame(dplrDeltaRule({ ...others, a, b: none }), expected)
    }))

  test.each([1, 2, 8, 64])('chunk %i does not matter', (chunk) =>
    within(() => {
      const { b, ...others } = lowRank()
      return expectSameGradients(
        (x) => dplrDeltaRule({ ...others, b: x }, { chunk }),
        (x) => dplrDeltaRule({ ...others, b: x }, { chunk: 16 }),
        b,
        'b',
      )
    }),
  )

  test.each([1, 10, 20])('split at token %i with the state carried: the same as whole', (at) =>
    within(async () => {
      for (const extra of [{}, { resets: rareResets() }]) {
        const given = { ...lowRank(), ...extra }
        const first = dplrDeltaRule(between(given, 0, at))
        const second = dplrDeltaRule({ ...between(given, at, T), state: first.state })
        await expectSame({ o: concat([first.o, second.o], 1), state: second.state }, dplrDeltaRule(given))
      }
    }),
  )

  test('a reset forgets everything before it', () =>
    within(async () => {
      const given = lowRank()
      const resets = concat([zeros([B, 9]), ones([B, 1]), zeros([B, T - 10])], 1)
      const whole = dplrDeltaRule({ ...given, resets })
      const { state: _, ...second } = between(given, 9, T)
      await expectSame({ o: span(whole.o, 9, T - 9), state: whole.state }, dplrDeltaRule(second))
    }))
})

describe('dplrDeltaRule over several chunks', () => {
  // kernels keep states further apart where they are narrow
  test.each([3, 66, 130])('values %i wide: gradients as those of the reference on cpu', (width) =>
    within(async () => {
      const [ofKeys, ofValues] = [
        [1, 150, 1, 4],
        [1, 150, 1, width],
      ]
      const { spec } = dplrDeltaRule
      const given = () => ({
        q: drawn(1, ofKeys),
        k: drawn(2, ofKeys),
        v: drawn(3, ofValues),
        a: unitLength(drawn(4, ofKeys)),
        b: unitLength(drawn(5, ofKeys)),
        logDecay: neg(abs(drawn(6, ofKeys))),
      })
      const dys = () => ({ o: drawn(7, ofValues), state: drawn(8, [1, 1, 4, width]) })
      const expected = await onBackend('cpu', () => {
        const grads = spec.gradient(dys(), given(), dys(), spec.attrs)
        return Promise.all(Object.values(grads).map((grad) => read(grad)))
      })
      const inputs = given()
      const grads = vjp(() => Object.values(dplrDeltaRule(inputs)), Object.values(inputs), Object.values(dys()))
      for (const [i, name] of Object.keys(inputs).entries()) {
        const known = expected[i] as Float32Array
        expectClose(await read(grads[i] as Tensor), known, tolerances.gradient(), `gradient by ${name}`)
      }
    }),
  )
})

/** The recurrence as it is written, in float64, for one row and one head of RWKV-7: a = -κ, b = κ times its rate. */
async function recurrence(given: Readonly<Record<'q' | 'k' | 'v' | 'a' | 'b' | 'logDecay', Tensor>>, width: number) {
  const { q, k, v, a, b, logDecay } = given
  const values = (await Promise.all([q, k, v, a, b, logDecay].map(read))) as Float32Array[]
  const at = (n: number, i: number): number => values[n]?.[i] as number
  const S = new Float64Array(width * width)
  const o = new Float64Array(q.size)
  for (let t = 0; t < q.size; t += width) {
    for (let j = 0; j < width; j++) {
      let x = 0
      for (let i = 0; i < width; i++) x += at(3, t + i) * (S[i * width + j] as number)
      for (let i = 0; i < width; i++) {
        const kept = Math.exp(at(5, t + i)) * (S[i * width + j] as number)
        const next = kept + at(4, t + i) * x + at(1, t + i) * at(2, t + j)
        S[i * width + j] = next
        o[t + j] = (o[t + j] as number) + at(0, t + i) * next
      }
    }
  }
  return { o, state: S }
}

describe(`over ${LONG} tokens`, () => {
  const width = 3
  const shape = [1, LONG, 1, width]
  const decays = [
    ['near 1', (x: Tensor): Tensor => mul(x, -1e-6)],
    ['near 0', (x: Tensor): Tensor => mul(x, -60)],
    ['of all sizes', (x: Tensor): Tensor => neg(exp(mul(x, 8)))],
    ['of 0 and 1', (x: Tensor): Tensor => mul(greater(x, 0.5), -1e4)],
  ] as const
  const sequences = () => ({ q: drawn(1, shape), v: drawn(4, shape), key: unitLength(drawn(2, shape)) })

  async function expectRight(f: () => Outcome, inputs: Tensor[], expected: Awaited<ReturnType<typeof recurrence>>) {
    const { o, state } = f()
    expectClose(await read(o), expected.o, tolerances.forward(), 'o')
    expectClose(await read(state), expected.state, tolerances.forward(), 'state')
    for (const grad of vjp(() => Object.values(f()), inputs, [fill(o.shape, 1), fill(state.shape, 1)])) {
      expect((await read(grad)).every(Number.isFinite)).toBe(true)
    }
  }

  test.each(decays)('deltaRule, decays %s: values as in float64, gradients finite', (_, decay) =>
    within(async () => {
      const { q, v, key: k } = sequences()
      const beta = sigmoid(drawn(5, shape.slice(0, 3)))
      const logDecay = decay(abs(drawn(6, shape.slice(0, 3))))
      const written = mul(k, expandDims(beta, 3))
      const perKey = tile(expandDims(logDecay, 3), [1, 1, 1, width])
      const a = neg(mul(k, exp(perKey)))
      const expected = await recurrence({ q, k: written, v, a, b: written, logDecay: perKey }, width)
      const given = { q, k, v, beta, logDecay }
      await expectRight(() => deltaRule(given, { scale: 1 }), Object.values(given), expected)
    }),
  )

  test.each(decays)('dplrDeltaRule, decays %s: values as in float64, gradients finite', (_, decay) =>
    within(async () => {
      const { q, v, key } = sequences()
      const b = mul(key, sigmoid(drawn(5, shape)))
      const given = { q, k: drawn(3, shape), v, a: neg(key), b, logDecay: decay(abs(drawn(6, shape))) }
      const expected = await recurrence(given, width)
      await expectRight(() => dplrDeltaRule(given, { scale: 1 }), Object.values(given), expected)
    }),
  )
})
