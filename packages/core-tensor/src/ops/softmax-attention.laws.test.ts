import { read, within } from '@mneme/testing/subject'
import { expectClose, tolerances } from '@mneme/testing/tolerance'
import { slice, sum, type Tensor, tensor, tidy } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { vjp } from '../gradients.js'
import { peakBytes } from '../inspect/peak-bytes.js'
import { described } from '../op.js'
import { type Drawn, drawInputs, toTensors } from '../op-inputs.js'
import { Rng } from '../rng.js'
import { softmaxAttention, softmaxAttentionSheet } from './softmax-attention.js'

const { spec } = softmaxAttention
type Name = keyof typeof spec.inputs
type Attrs = NonNullable<Parameters<typeof softmaxAttention>[1]>
type Given = { readonly q: Drawn; readonly k: Drawn; readonly v: Drawn } & { readonly [name in Name]?: Drawn }
type Live = Parameters<typeof softmaxAttention>[0]

const optional: readonly Name[] = [
  'bias',
  'relativeBias',
  'slopes',
  'logForget',
  'sinkLogits',
  'keyMask',
  'queryDocuments',
  'keyDocuments',
]
const sizes = { B: 2, T: 6, S: 9, H: 4, G: 2, K: 3, V: 5, X: 1, Y: 4, R: 4 }

function drawn(with_: readonly Name[], dims: Record<string, number> = sizes): Given {
  const omit = optional.filter((name) => !with_.includes(name))
  return drawInputs(described(softmaxAttention, softmaxAttentionSheet), { dims, omit }, new Rng(20)) as unknown as Given
}
const live = (given: Given): Live => toTensors(given as unknown as Record<string, Drawn>) as unknown as Live

/** The value at an index of each axis; axes of size 1 repeat. */
function at({ values, shape }: Drawn, ...index: readonly number[]): number {
  return values[
    shape.reduce((offset, size, axis) => offset * size + Math.min(index[axis] as number, size - 1), 0)
  ] as number
}

/** The definition, query by query, in float64. */
function direct(given: Given, attrs: Attrs): { o: Float64Array; lse: Float64Array } {
  const { q, k, v, bias, relativeBias, slopes, logForget, sinkLogits, keyMask, queryDocuments, keyDocuments } = given
  const [B, T, H, K] = q.shape as [number, number, number, number]
  const [, S, G, V] = v.shape as [number, number, number, number]
  const { causal, window, sinks, scale, softCap, ahead } = { ...spec.attrs, ...attrs }
  const [o, lse] = [new Float64Array(B * T * H * V), new Float64Array(B * H * T)]
  const each = (count: number, f: (n: number) => void): void =>
    Array.from({ length: count }).forEach((_, n) => void f(n))
  each(B, (b) => {
    each(H, (h) => {
      const g = Math.floor((h * G) / H)
      each(T, (i) => {
        const p = S - T + i
        let total = sinkLogits ? Math.exp(at(sinkLogits, h)) : 0
        const sums = new Float64Array(V)
        let gates = 0
        for (let j = S - 1; j >= 0; j--) {
          if (logForget && j < p) gates += at(logForget, b, j + 1, h)
          const far = window > 0 && Math.abs(p - j) >= window && j >= sinks
          if ((causal && j > p) || far || (keyMask && at(keyMask, b, j) === 0)) continue
          if (queryDocuments && keyDocuments && at(queryDocuments, b, i) !== at(keyDocuments, b, j)) continue
          let score = 0
          for (let c = 0; c < K; c++) score += at(q, b, i, h, c) * at(k, b, j, g, c) * (scale || K ** -0.5)
          if (softCap > 0) score = softCap * Math.tanh(score / softCap)
          if (bias) score += at(bias, b, h, i, j)
          if (relativeBias) score += at(relativeBias, h, Math.max(p - j + ahead, 0))
          if (slopes) score -= at(slopes, h) * Math.abs(p - j)
          const weight = Math.exp(score + gates)
          total += weight
          for (let c = 0; c < V; c++) sums[c] = (sums[c] as number) + weight * at(v, b, j, g, c)
        }
        for (let c = 0; c < V; c++) o[((b * T + i) * H + h) * V + c] = total === 0 ? 0 : (sums[c] as number) / total
        lse[(b * H + h) * T + i] = total === 0 ? -5e29 : Math.log(total)
      })
    })
  })
  return { o, lse }
}

describe('softmax attention is its definition', () => {
  const cases: Readonly<Record<string, readonly [readonly Name[], Attrs, Record<string, number>?]>> = {
    plain: [[], {}],
    'a bias for each head': [['bias'], {}],
    'a bias for each row and all heads': [['bias'], { causal: false }, { ...sizes, X: 2, Y: 1 }],
    'a table by distance': [['relativeBias'], {}],
    'a table to both sides': [['relativeBias'], { causal: false, ahead: 2 }],
    'slopes to both sides': [['slopes'], { causal: false }],
    'forget gates': [['logForget'], {}],
    'forget gates in a window with first keys': [['logForget'], { window: 3, sinks: 1 }],
    'sink logits and a key mask': [['sinkLogits', 'keyMask'], {}],
    'packed documents': [['sinkLogits', 'queryDocuments', 'keyDocuments'], { causal: false }],
    'a window to both sides and first keys': [[], { causal: false, window: 2, sinks: 2 }],
    'more queries than keys': [['slopes'], { window: 4, causal: false }, { ...sizes, T: 9, S: 6 }],
    everything: [optional, { window: 5, sinks: 1, ahead: 1, softCap: 1.5, scale: 0.7 }],
    'everything but a cap': [optional, { window: 5, sinks: 1, ahead: 1, scale: 0.7 }],
  }
  test.each(Object.entries(cases))('%s', async (_name, [names, attrs, dims]) => {
    await within(async () => {
      const given = drawn(names, dims)
      const expected = direct(given, attrs)
      for (const block of [256, 4]) {
        const { o, lse } = softmaxAttention(live(given), { ...attrs, block })
        expectClose(await read(o), expected.o, tolerances.forward(), `outputs with blocks of ${block}`)
        expectClose(await read(lse), expected.lse, tolerances.forward(), `log sums with blocks of ${block}`)
      }
    })
  })
})

test('the last queries against all keys are those of the whole', async () => {
  await within(async () => {
    const dims = { ...sizes, T: 9 }
    const given = live(drawn(['logForget', 'slopes', 'relativeBias'], dims))
    const whole = softmaxAttention(given, { window: 6 }).o
    const last = softmaxAttention({ ...given, q: slice(given.q, [0, 5, 0, 0], [2, 4, 4, 3]) }, { window: 6 }).o
    expectClose(await read(last), await read(slice(whole, [0, 5, 0, 0], [2, 4, 4, 5])), tolerances.forward(), 'outputs')
  })
})

test('a query that sees nothing gives zeros, and no gradient', async () => {
  await within(async () => {
    const given = drawn(['keyMask', 'bias', 'logForget'])
    given.keyMask?.values.fill(0)
    const inputs = live(given)
    const { q, k, v, bias, logForget } = inputs
    const run = (): Tensor[] => Object.values(softmaxAttention(inputs))
    const [o, lse] = run() as [Tensor, Tensor]
    expect(new Set(await read(o))).toEqual(new Set([0]))
    expect(new Set(await read(lse))).toEqual(new Set([Math.fround(-5e29)]))
    const ones = [o, lse].map((x) => tensor(new Float32Array(x.size).fill(1), x.shape))
    for (const grad of vjp(run, [q, k, v, bias as Tensor, logForget as Tensor], ones)) {
      expect(Math.max(...(await read(grad)).map(Math.abs))).toBe(0)
    }
  })
})

test('gates near the query count exactly, however many tokens came before', async () => {
  await within(async () => {
    const S = 5000
    const given = drawn(['logForget'], { B: 1, T: 2, S, H: 1, G: 1, K: 1, V: 1 })
    given.q.values.fill(0)
    // 4990 tokens that forget much, then ten that hardly forget
    given.logForget?.values.fill(-9, 0, S - 10)
    for (let j = S - 10; j < S; j++) if (given.logForget) given.logForget.values[j] = -0.001 * (j % 7)
    const { o, lse } = softmaxAttention(live(given))
    const expected = direct(given, {})
    expectClose(await read(lse), expected.lse, 1e-6, 'log sums')
    expectClose(await read(o), expected.o, 1e-5, 'outputs')
  })
})

test('forward and backward pass need no memory for pairs of queries and keys', async () => {
  const peak = async (T: number): Promise<number> => {
    const inputs = live(drawn([], { B: 1, T, S: T, H: 1, G: 1, K: 2, V: 2 }))
    const { q, k, v } = inputs
    const run = (): Tensor[] => [softmaxAttention(inputs, { block: 16 }).o]
    const bytes = await peakBytes(async () => tidy(() => vjp(run, [q, k, v], [inputs.v]).map((grad) => sum(grad))))
    for (const x of Object.values(inputs)) x.dispose()
    return bytes
  }
  // twice the tokens, four times the pairs
  expect((await peak(512)) / (await peak(256))).toBeLessThan(2.5)
})
