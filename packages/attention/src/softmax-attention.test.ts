import {
  type NamedTensor,
  normal,
  normalInit,
  type Recorder,
  Rng,
  Rotary,
  ropeStretch,
  softmaxAttention,
  vjp,
} from '@mneme/core-tensor'
import { inPieces, read, type Sequence, span, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import {
  add,
  concat,
  gather,
  mul,
  ones,
  reshape,
  sum,
  type Tensor,
  tensor,
  tensor1d,
  tensor2d,
  zeros,
} from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { SoftmaxAttention, type SoftmaxAttentionOptions } from './softmax-attention.js'

type Attrs = NonNullable<Parameters<typeof softmaxAttention>[1]>

interface Heads {
  readonly q: Tensor
  readonly k: Tensor
  readonly v: Tensor
}

function heads(
  seed: number,
  [B, T, S, H, G, K, V]: readonly [number, number, number, number, number, number, number],
): Heads {
  const rng = new Rng(seed)
  return { q: normal(rng, [B, T, H, K], 1), k: normal(rng, [B, S, G, K], 1), v: normal(rng, [B, S, G, V], 1) }
}

/** The definition, query by query, in float64. */
async function direct({ q, k, v }: Heads, attrs: Attrs): Promise<{ o: Float64Array; lse: Float64Array }> {
  const [B, T, H, K] = q.shape as [number, number, number, number]
  const [, S, G, V] = v.shape as [number, number, number, number]
  const [qs, ks, vs] = [await read(q), await read(k), await read(v)]
  const { causal = true, window = 0, sinks = 0, softCap = 0 } = attrs
  const o = new Float64Array(B * T * H * V)
  const lse = new Float64Array(B * H * T)
  for (let b = 0; b < B; b++) {
    for (let h = 0; h < H; h++) {
      const g = Math.floor((h * G) / H)
      for (let i = 0; i < T; i++) {
        const p = S - T + i
        let total = 0
        const sums = new Float64Array(V)
        for (let j = 0; j < S; j++) {
          const near = window === 0 || (p - window < j && (causal || j < p + window))
          if ((causal && j > p) || !(near || j < sinks)) continue
          let dot = 0
          for (let c = 0; c < K; c++) {
            dot += (qs[((b * T + i) * H + h) * K + c] as number) * (ks[((b * S + j) * G + g) * K + c] as number)
          }
          const score = dot * (attrs.scale || K ** -0.5)
          const weight = Math.exp(softCap > 0 ? softCap * Math.tanh(score / softCap) : score)
          total += weight
          for (let c = 0; c < V; c++)
            sums[c] = (sums[c] as number) + weight * (vs[((b * S + j) * G + g) * V + c] as number)
        }
        for (let c = 0; c < V; c++) o[((b * T + i) * H + h) * V + c] = (sums[c] as number) / total
        lse[(b * H + h) * T + i] = Math.log(total)
      }
    }
  }
  return { o, lse }
}

describe('softmax attention', () => {
  test('q = (1, 1), k = (0, 1), v = (1, 3), causal, scale 1: o = (1, 2.46212)', async () => {
    await within(async () => {
      const at = (...values: number[]): Tensor => tensor(values, [1, 2, 1, 1])
      const { o } = softmaxAttention({ q: at(1, 1), k: at(0, 1), v: at(1, 3) }, { scale: 1 })
      expectClose(await read(o), [1, 2.46212], 1e-5, 'outputs')
    })
  })

  const masks: Readonly<Record<string, Attrs>> = {
    causal: {},
    'all to all': { causal: false },
    'a window of 1': { window: 1 },
    'a window of 7': { window: 7 },
    'a window to both sides': { window: 4, causal: false },
    'a window and 3 sinks': { window: 5, sinks: 3 },
    'scores capped at 1.5': { softCap: 1.5 },
  }
  test.each(Object.entries(masks))(
    '%s: as the definition, for lengths and head counts of any kind',
    async (_, attrs) => {
      await within(async () => {
        for (const sizes of [
          [2, 13, 13, 4, 4, 3, 5],
          [1, 5, 17, 6, 2, 4, 3],
          [2, 1, 9, 3, 1, 2, 2],
        ] as const) {
          const inputs = heads(1, sizes)
          const { o, lse } = softmaxAttention(inputs, attrs)
          const expected = await direct(inputs, attrs)
          expectClose(await read(o), expected.o, 1e-5, `outputs of ${sizes.join(', ')}`)
          expectClose(await read(lse), expected.lse, 1e-5, `log sums of ${sizes.join(', ')}`)
        }
      })
    },
  )

  test('keys in any partition and any order: merged by the log sums, the parts are the whole', async () => {
    await within(async () => {
      const { q, k, v } = heads(2, [2, 4, 12, 2, 2, 3, 5])
      const whole = softmaxAttention({ q, k, v }, { causal: false })
      const part = async (keys: readonly number[]): Promise<Part> => {
        const at = tensor1d([...keys], 'int32')
        const { o, lse } = softmaxAttention({ q, k: gather(k, at, 1), v: gather(v, at, 1) }, { causal: false })
        return { o: await read(o), lse: await read(lse) }
      }
      for (const partition of [
        [
          [0, 1, 2, 3, 4, 5],
          [6, 7, 8, 9, 10, 11],
        ],
        [[11, 3], [0], [8, 2, 10, 1], [4, 5, 6, 7, 9]],
        [[4, 5, 6, 7, 9], [8, 2, 10, 1], [0], [11, 3]],
      ]) {
        const parts = await Promise.all(partition.map(part))
        const { o, lse } = parts.reduce((a, b) => merged(a, b, [2, 4, 2, 5]))
        expectClose(o, await read(whole.o), 1e-5, 'merged outputs')
        expectClose(lse, await read(whole.lse), 1e-5, 'merged log sums')
      }
    })
  })

  test('a constant on every score of a row changes no output and moves the log sum by as much', async () => {
    await within(async () => {
      const inputs = heads(3, [2, 7, 7, 3, 3, 4, 4])
      const rows = mul(normal(new Rng(4), [2, 3, 7, 1], 5), ones([1, 1, 1, 7]))
      const [plain, raised] = [softmaxAttention(inputs), softmaxAttention({ ...inputs, bias: rows })]
      expectClose(await read(raised.o), await read(plain.o), 1e-5, 'outputs')
      const moved = add(plain.lse, span3(rows))
      expectClose(await read(raised.lse), await read(moved), 1e-5, 'log sums')
    })
  })

  test('a query that may see nothing gives zeros, and its gradients are zeros too', async () => {
    await within(async () => {
      const { q, k, v } = heads(5, [1, 3, 3, 1, 1, 2, 2])
      const documents = { queryDocuments: tensor2d([[0, 5, 0]]), keyDocuments: tensor2d([[0, 0, 0]]) }
      const run = (): Tensor => softmaxAttention({ q, k, v, ...documents }).o
      const o = await read(run())
      expect([...o.slice(2, 4)]).toEqual([0, 0])
      const grads = await Promise.all(vjp(() => [run()], [q, k, v], [ones([1, 3, 1, 2])]).map(read))
      for (const g of grads) expect(g.every(Number.isFinite)).toBe(true)
      expect([...(grads[0] as Float32Array).slice(2, 4)]).toEqual([0, 0])
    })
  })

  test('scores of thousands overflow nothing', async () => {
    await within(async () => {
      const { q, k, v } = heads(6, [1, 6, 6, 2, 2, 4, 3])
      const { o, lse } = softmaxAttention({ q: mul(q, 3e3), k, v })
      for (const values of [await read(o), await read(lse)]) expect(values.every(Number.isFinite)).toBe(true)
    })
  })
})

interface Part {
  readonly o: Float32Array
  readonly lse: Float32Array
}

/** Two disjoint sets of keys: `o = e^(lse₁ - lse) o₁ + e^(lse₂ - lse) o₂`. o `[B, T, H, V]`, lse `[B, H, T]`. */
function merged(a: Part, b: Part, [, T, H, V]: readonly [number, number, number, number]): Part {
  const lse = a.lse.map(
    (x, n) => Math.max(x, b.lse[n] as number) + Math.log1p(Math.exp(-Math.abs(x - (b.lse[n] as number)))),
  )
  const o = a.o.map((x, n) => {
    const head = Math.floor(n / V)
    const at = (Math.floor(head / (T * H)) * H + (head % H)) * T + (Math.floor(head / H) % T)
    const weight = ({ lse: own }: Part): number => Math.exp((own[at] as number) - (lse[at] as number))
    return weight(a) * x + weight(b) * (b.o[n] as number)
  })
  return { o, lse }
}

/** The first column of `[B, H, T, S]`, as `[B, H, T]`. */
const span3 = (x: Tensor): Tensor => reshape(gather(x, tensor1d([0], 'int32'), 3), x.shape.slice(0, 3))

describe('rotary positions', () => {
  const rotated = (x: Tensor, position: number, layout: 'half' | 'interleaved' = 'half'): Tensor =>
    new Rotary({ dims: 8, base: 10000, layout }).forward(x, position)

  test('turning keeps the length of every vector', async () => {
    await within(async () => {
      const x = normal(new Rng(7), [1, 5, 2, 8], 1)
      for (const layout of ['half', 'interleaved'] as const) {
        const lengths = async (y: Tensor) => read(sum(mul(y, y), -1))
        expectClose(await lengths(rotated(x, 1000, layout)), await lengths(x), 1e-5, layout)
      }
    })
  })

  test('at position 0 nothing turns', async () => {
    await within(async () => {
      const x = normal(new Rng(8), [2, 1, 3, 8], 1)
      expect(await read(rotated(x, 0))).toEqual(await read(x))
    })
  })

  test('the product of a query and a key depends on their distance alone', async () => {
    await within(async () => {
      const [q, k] = [normal(new Rng(9), [1, 1, 1, 8], 1), normal(new Rng(10), [1, 1, 1, 8], 1)]
      for (const layout of ['half', 'interleaved'] as const) {
        const product = async (p: number, j: number) => read(sum(mul(rotated(q, p, layout), rotated(k, j, layout))))
        const near = await product(7, 2)
        for (const shift of [1, 100, 4000]) expectClose(await product(7 + shift, 2 + shift), near, 1e-4, `by ${shift}`)
        expect(Math.abs(((await product(8, 2))[0] as number) - (near[0] as number))).toBeGreaterThan(1e-3)
      }
    })
  })

  test('the layouts agree after new[m] = old[2m], new[m + r/2] = old[2m + 1]', async () => {
    await within(async () => {
      const x = normal(new Rng(11), [2, 6, 3, 8], 1)
      const order = tensor1d([0, 2, 4, 6, 1, 3, 5, 7], 'int32')
      const half = rotated(gather(x, order, 3), 3)
      const interleaved = gather(rotated(x, 3, 'interleaved'), order, 3)
      expectClose(await read(half), await read(interleaved), 1e-6, 'layouts')
    })
  })

  test('features beyond the turned ones stay', async () => {
    await within(async () => {
      const x = normal(new Rng(12), [1, 4, 1, 8], 1)
      const y = new Rotary({ dims: 4 }).forward(x, 5)
      const tail = tensor1d([4, 5, 6, 7], 'int32')
      expect(await read(gather(y, tail, 3))).toEqual(await read(gather(x, tail, 3)))
    })
  })

  test('more features than a head has are refused', async () => {
    await within(async () => {
      const heads = normal(new Rng(12), [1, 2, 1, 4], 1)
      expect(() => new Rotary({ dims: 8 }).forward(heads, 0)).toThrow(
        /Rotary dims: expected at most the head width 4, got 8/,
      )
    })
  })

  test('linear scaling by 4: position 4p turns as p did', async () => {
    await within(async () => {
      const x = normal(new Rng(13), [1, 1, 1, 8], 1)
      const stretched = new Rotary({ dims: 8, stretch: ropeStretch({ type: 'linear', factor: 4 }) })
      expectClose(await read(stretched.forward(x, 12)), await read(rotated(x, 3)), 1e-6, 'stretched')
    })
  })
})

const options: SoftmaxAttentionOptions = {
  dModel: 6,
  nHeads: 4,
  nKvHeads: 2,
  dHead: 4,
  window: 0,
  rotary: { dims: 4, base: 100 },
  projection: { bias: false, init: normalInit(0.5) },
}

describe('SoftmaxAttention', () => {
  test('a window as long as the input is plain causal attention', async () => {
    await within(async () => {
      const x = normal(new Rng(14), [2, 9, 6], 1)
      const outputs = await Promise.all(
        [0, 9, 10, 100].map((window) => read(new SoftmaxAttention({ ...options, window }, new Rng(1)).forward(x).y)),
      )
      for (const y of outputs) expectClose(y, outputs[0] as Float32Array, 1e-6, 'windows')
    })
  })

  test('a cache of window - 1 keys gives what a mask over all keys gives', async () => {
    await within(async () => {
      const [T, window] = [12, 4]
      const mixer = new SoftmaxAttention({ ...options, window }, new Rng(1))
      const x = normal(new Rng(15), [1, T, 6], 1)
      const whole = mixer.forward(x)
      const steps = inPieces(mixer as unknown as Sequence, x, Array<number>(T).fill(1))
      expectClose(await read(steps.y), await read(whole.y), 1e-5, 'outputs')
      expect((whole.state.keys as Tensor).shape).toEqual([1, window - 1, 2, 4])
    })
  })

  test('with a window of 3, the token 3 back has no effect and the one 2 back has', async () => {
    await within(async () => {
      const mixer = new SoftmaxAttention({ ...options, window: 3 }, new Rng(1))
      const [x, other] = [normal(new Rng(16), [1, 4, 6], 1), normal(new Rng(17), [1, 4, 6], 1)]
      const last = async (input: Tensor) => read(span(mixer.forward(input).y, 3, 1))
      const changed = (t: number): Tensor =>
        concat(
          [span(x, 0, t), span(other, t, 1), span(x, t + 1, 3 - t)].filter((piece) => piece.size > 0),
          1,
        )
      expect(await last(changed(0))).toEqual(await last(x))
      expect(await last(changed(1))).not.toEqual(await last(x))
    })
  })

  test('grouped queries are plain heads whose key and value heads are each repeated in a row', async () => {
    await within(async () => {
      const grouped = new SoftmaxAttention(options, new Rng(2))
      const plain = new SoftmaxAttention({ ...options, nKvHeads: 4 }, new Rng(3))
      const weights = await grouped.stateDict()
      plain.loadStateDict({
        ...weights,
        'kProj.weight': repeated(weights['kProj.weight'], 4, 2),
        'vProj.weight': repeated(weights['vProj.weight'], 4, 2),
      })
      const x = normal(new Rng(18), [2, 7, 6], 1)
      expectClose(await read(grouped.forward(x).y), await read(plain.forward(x).y), 1e-5, 'heads')
    })
  })

  test('without positions, the order of the keys before the last does not matter', async () => {
    await within(async () => {
      const mixer = new SoftmaxAttention({ ...options, rotary: null }, new Rng(4))
      const x = normal(new Rng(19), [1, 6, 6], 1)
      const shuffled = gather(x, tensor1d([3, 0, 4, 2, 1, 5], 'int32'), 1)
      const last = async (input: Tensor) => read(span(mixer.forward(input).y, 5, 1))
      expectClose(await last(shuffled), await last(x), 1e-5, 'any order')
    })
  })

  test('with positions, shifting the whole text changes nothing', async () => {
    await within(async () => {
      const mixer = new SoftmaxAttention(options, new Rng(5))
      const x = normal(new Rng(20), [1, 6, 6], 1)
      const late = mixer.forward(x, { ...mixer.initialState(), position: 300 })
      expectClose(await read(late.y), await read(mixer.forward(x).y), 1e-4, 'late start')
    })
  })

  test('equal values come out as they are, whatever the scores', async () => {
    await within(async () => {
      const mixer = new SoftmaxAttention({ ...options, projection: { bias: true } }, new Rng(6))
      mixer.vProj?.weight.assign(zeros([8, 6]))
      const y = await read(mixer.forward(normal(new Rng(21), [1, 5, 6], 1)).y)
      for (let t = 1; t < 5; t++) expectClose(y.slice(6 * t, 6 * t + 6), y.slice(0, 6), 1e-5, `token ${t}`)
    })
  })

  test('D d (2 H + 2 G) values', async () => {
    await within(async () => {
      expect(new SoftmaxAttention(options, new Rng(0)).parameterCount()).toBe(6 * 4 * (2 * 4 + 2 * 2))
    })
  })

  test('query heads that key heads do not divide are refused', () => {
    expect(() => new SoftmaxAttention({ ...options, nKvHeads: 3 }, new Rng(0))).toThrow(
      /multiple of nKvHeads = 3, got 4/,
    )
  })

  test('a window over packed documents takes one call for all rows, and padding one for each', async () => {
    await within(async () => {
      const mixer = new SoftmaxAttention({ ...options, window: 3 }, new Rng(0))
      const x = normal(new Rng(1), [2, 4, 6], 1)
      const resets = tensor2d([
        [0, 1, 0, 0],
        [0, 0, 0, 1],
      ])
      const queries: number[][] = []
      const record: Recorder = {
        record: (name, { shape }) => void (name === 'queries' && queries.push(shape)),
        at: () => record,
      }
      const packed = mixer.forward(x, undefined, { training: false, resets, record })
      const padded = mixer.forward(x, undefined, { training: false, resets, record, mask: ones([2, 4]) })
      expect(queries.map(([B, T]) => [B, T])).toEqual([
        [2, 4],
        [1, 1],
        [1, 3],
        [1, 3],
        [1, 1],
      ])
      expectClose(await read(padded.y), await read(packed.y), 1e-5, 'outputs')
    })
  })
})

/** Rows of a weight `[heads * rows, D]`, each head's rows `times` times in a row. */
function repeated(weight: NamedTensor | undefined, rows: number, times: number): NamedTensor {
  if (weight === undefined) throw new Error('expected a weight, got none.')
  const [height, D] = weight.shape as [number, number]
  const block = rows * D
  const values = Float32Array.from({ length: height * D * times }, (_, n) => {
    const head = Math.floor(n / (block * times))
    return weight.values[head * block + (n % block)] as number
  })
  return { shape: [height * times, D], values }
}
