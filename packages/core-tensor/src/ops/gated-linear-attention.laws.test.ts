import { read, within } from '@mneme/testing/subject'
import { expectClose, tolerances } from '@mneme/testing/tolerance'
import { add, concat, fill, mul, ones, reshape, slice, type Tensor, tensor, zeros } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { vjp } from '../gradients.js'
import { Rng } from '../rng.js'
import { type GatedLinearAttentionInputs, gatedLinearAttention } from './gated-linear-attention.js'

const [B, T, H, K, V] = [2, 21, 2, 4, 3]
/** Only the kernels are fast enough for as many tokens as they must bear. */
const LONG = process.env.MNEME_BACKEND === 'cpu' ? 2_000 : 100_000

function normal(rng: Rng, shape: number[], f = (x: number): number => x): Tensor {
  const size = shape.reduce((a, b) => a * b, 1)
  return tensor(
    Float32Array.from({ length: size }, () => f(rng.normal())),
    shape,
  )
}

/** A log-decay, mostly between -2 and 0. */
const decaying = (x: number): number => -Math.abs(x)

interface Case extends GatedLinearAttentionInputs {
  readonly logDecay: Tensor
  readonly state: Tensor
}

function inputs(decay: number[] = [B, T, H, K]): Case {
  const rng = new Rng(1)
  return {
    q: normal(rng, [B, T, H, K]),
    k: normal(rng, [B, T, H, K]),
    v: normal(rng, [B, T, H, V]),
    state: normal(rng, [B, H, K, V]),
    logDecay: normal(rng, decay, decaying),
  }
}

interface Outcome {
  readonly o: Tensor
  readonly state: Tensor
}

async function expectSame(actual: Outcome, expected: Outcome): Promise<void> {
  expectClose(await read(actual.o), await read(expected.o), tolerances.forward(), 'o')
  expectClose(await read(actual.state), await read(expected.state), tolerances.forward(), 'state')
}

/** Both outputs and the gradients of their sum by the given inputs agree. */
async function expectSameGradients(
  one: (x: Tensor) => Outcome,
  other: (x: Tensor) => Outcome,
  x: Tensor,
  what: string,
): Promise<void> {
  await expectSame(one(x), other(x))
  const slope = (f: (x: Tensor) => Outcome): Tensor => {
    const { o, state } = f(x)
    const rng = new Rng(2)
    return vjp(() => Object.values(f(x)), [x], [normal(rng, o.shape), normal(rng, state.shape)])[0] as Tensor
  }
  expectClose(await read(slope(one)), await read(slope(other)), tolerances.gradient(), `gradient by ${what}`)
}

const after = (x: Tensor, from: number, to: number): Tensor =>
  slice(x, [0, from, ...x.shape.slice(2).map(() => 0)], [x.shape[0] as number, to - from, ...x.shape.slice(2)])

/** Tokens [from, to) of every input that has as many as q. */
function between(given: GatedLinearAttentionInputs, from: number, to: number): GatedLinearAttentionInputs {
  const length = given.q.shape[1]
  return Object.fromEntries(
    Object.entries(given).map(([name, x]) => [
      name,
      name !== 'state' && name !== 'bonus' && x.shape[1] === length ? after(x, from, to) : x,
    ]),
  ) as unknown as GatedLinearAttentionInputs
}

/** The recurrence as it is written, in float64, for one row and one head. */
function recurrence(q: Float32Array, k: Float32Array, v: Float32Array, logDecay: Float32Array, width: number) {
  const state = new Float64Array(width * width)
  const o = new Float64Array(q.length)
  for (let t = 0; t < q.length; t += width) {
    for (let i = 0; i < width; i++) {
      for (let j = 0; j < width; j++) {
        const at = i * width + j
        const decayed = Math.exp(logDecay[t + i] as number) * (state[at] as number)
        state[at] = decayed + (k[t + i] as number) * (v[t + j] as number)
        o[t + j] = (o[t + j] as number) + (q[t + i] as number) * (state[at] as number)
      }
    }
  }
  return { o, state }
}

describe('identities of gatedLinearAttention', () => {
  test('retention: a constant decay a head is that decay at every token', () =>
    within(() => {
      const { logDecay, ...others } = inputs([1, 1, H, 1])
      return expectSameGradients(
        (x) => gatedLinearAttention({ ...others, logDecay: x }),
        (x) => gatedLinearAttention({ ...others, logDecay: add(x, zeros([B, T, H, K])) }),
        logDecay,
        'logDecay',
      )
    }))

  test.each([[[B, T, H, 1]], [[1, T, H, K]], [[B, 1, H, K]], [[1, 1, H, K]]])(
    'decay of shape %j is the same for what it leaves out',
    (shape) =>
      within(() => {
        const { logDecay, ...others } = inputs(shape)
        return expectSameGradients(
          (x) => gatedLinearAttention({ ...others, logDecay: x }),
          (x) => gatedLinearAttention({ ...others, logDecay: add(x, zeros([B, T, H, K])) }),
          logDecay,
          'logDecay',
        )
      }),
  )

  test('no decay: reading first with a bonus of 1 is reading after writing', () =>
    within(() => {
      const { logDecay: _, k, ...others } = inputs()
      return expectSameGradients(
        (x) => gatedLinearAttention({ ...others, k: x, bonus: ones([H, K]) }),
        (x) => gatedLinearAttention({ ...others, k: x }),
        k,
        'k',
      )
    }))

  test('a bonus of 0 reads the state of the token before', () =>
    within(async () => {
      const given = inputs()
      const whole = gatedLinearAttention({ ...given, bonus: zeros([H, K]) })
      const { state } = gatedLinearAttention(between(given, 0, 7))
      const none = { k: zeros([B, 1, H, K]), v: zeros([B, 1, H, V]) }
      const reader = gatedLinearAttention({ q: after(given.q, 7, 8), ...none, state })
      expectClose(await read(after(whole.o, 7, 8)), await read(reader.o), tolerances.forward(), 'o')
    }))

  test('groups of heads share q and k', () =>
    within(() => {
      const { q, k, ...others } = inputs()
      const one = after(reshape(k, [B * T, H, K]), 0, 1)
      const spread = (x: Tensor): Tensor => mul(reshape(x, [B, T, 1, K]), ones([1, 1, H, 1]))
      return expectSameGradients(
        (x) => gatedLinearAttention({ ...others, q: reshape(x, [B, T, 1, K]), k: reshape(x, [B, T, 1, K]) }),
        (x) => gatedLinearAttention({ ...others, q: spread(x), k: spread(x) }),
        one,
        'q and k',
      )
    }))

  test.each([1, 2, 8, 64])('chunk %i does not matter', (chunk) =>
    within(() => {
      const { k, ...others } = inputs()
      return expectSameGradients(
        (x) => gatedLinearAttention({ ...others, k: x }, { chunk }),
        (x) => gatedLinearAttention({ ...others, k: x }, { chunk: 16 }),
        k,
        'k',
      )
    }),
  )

  test.each([1, 10, 20])('split at token %i with the state carried: the same as whole', (at) =>
    within(async () => {
      const rng = new Rng(3)
      const resets = normal(rng, [B, T], (x) => (x > 1 ? 1 : 0))
      for (const extra of [{}, { resets }, { bonus: normal(rng, [H, K]), resets }]) {
        const given = { ...inputs(), ...extra }
        const first = gatedLinearAttention(between(given, 0, at))
        const second = gatedLinearAttention({ ...between(given, at, T), state: first.state })
        await expectSame({ o: concat([first.o, second.o], 1), state: second.state }, gatedLinearAttention(given))
      }
    }),
  )

  test('a reset forgets everything before it', () =>
    within(async () => {
      for (const extra of [{}, { bonus: normal(new Rng(4), [H, K]) }]) {
        const given = { ...inputs(), ...extra }
        const resets = tensor(
          Array.from({ length: B * T }, (_, i) => (i % T === 9 ? 1 : 0)),
          [B, T],
        )
        const { state: _, ...second } = between(given, 9, T)
        const whole = gatedLinearAttention({ ...given, resets })
        await expectSame({ o: after(whole.o, 9, T), state: whole.state }, gatedLinearAttention(second))
      }
    }))

  test('heads that are no multiple of the groups, and decays that do not fit, are named', () =>
    within(async () => {
      const { q, k, v } = inputs()
      const three = zeros([B, T, 3, V])
      expect(() => gatedLinearAttention({ q, k, v: three })).toThrow('got H=3 for G=2')
      const short = zeros([B, T - 1, H, K])
      expect(() => gatedLinearAttention({ q, k, v, logDecay: short })).toThrow(
        'gatedLinearAttention logDecay: expected [2, 21, 2, 4], or 1 for any but H, got [2, 20, 2, 4].',
      )
    }))
})

describe(`gatedLinearAttention over ${LONG} tokens`, () => {
  const width = 3
  const drawn = (seed: number, f?: (x: number) => number): Tensor => normal(new Rng(seed), [1, LONG, 1, width], f)

  test.each([
    ['near 1', (x: number): number => -1e-6 * Math.abs(x)],
    ['near 0', (x: number): number => -40 - 40 * Math.abs(x)],
    ['of all sizes', (x: number): number => -(10 ** (4 * x - 3))],
    ['of 0 and 1', (x: number): number => (x > 0 ? Number.NEGATIVE_INFINITY : 0)],
  ])('decays %s: values as in float64, gradients finite', (_, decay) =>
    within(async () => {
      const given = { q: drawn(1), k: drawn(2), v: drawn(3), logDecay: drawn(4, decay) }
      const { o, state } = gatedLinearAttention(given, { scale: 1 })
      const values = await Promise.all(Object.values(given).map((x) => read(x)))
      const expected = recurrence(...(values as [Float32Array, Float32Array, Float32Array, Float32Array]), width)
      expectClose(await read(o), expected.o, tolerances.forward(), 'o')
      expectClose(await read(state), expected.state, tolerances.forward(), 'state')
      const grads = vjp(() => Object.values(gatedLinearAttention(given, { scale: 1 })), Object.values(given), [
        fill(o.shape, 1),
        fill(state.shape, 1),
      ])
      for (const grad of grads) expect((await read(grad)).every(Number.isFinite)).toBe(true)
    }),
  )
})
