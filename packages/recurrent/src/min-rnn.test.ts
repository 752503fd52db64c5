import { normal, type Recorder, Rng } from '@mneme/core-tensor'
import { read, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { fill, neg, ones, reshape, type Tensor, type Tensor2D, tensor2d, tensor3d, zeros } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { MinGRU, MinLSTM, type MinRnnOptions, minGruCoefficients, minLstmCoefficients } from './min-rnn.js'

const options: MinRnnOptions = { dModel: 5, expansion: 1, h0: 'zero' }
const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x))
const positive = (x: number): number => (x >= 0 ? x + 0.5 : sigmoid(x))
const logAddExp = (a: number, b: number): number => Math.max(a, b) + Math.log1p(Math.exp(-Math.abs(a - b)))
const softplus = (x: number): number => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)))

/** A minGRU of one channel whose candidate and gate are chosen token by token: x is [candidate, gate]. */
async function states(tokens: readonly (readonly [candidate: number, gate: number])[]): Promise<number[]> {
  const cell = new MinGRU({ dModel: 2, expansion: 0.5, h0: 'zero' }, new Rng(1))
  cell.projection.weight.assign(tensor2d([1, 0, 0, 1], [2, 2]))
  const path = tokens.map((_, t) => cell.forward(tensor3d([tokens.slice(0, t + 1).map((token) => [...token])])).state)
  const values = await Promise.all(path.map(read))
  cell.dispose()
  return values.map((h) => h[0] as number)
}

describe('minGRU', () => {
  test('half open gates and a candidate of 1: 1/2, 3/4, 7/8', async () => {
    // g(1/2) = 1
    await within(async () => expectClose(await states(Array(3).fill([0.5, 0])), [0.5, 0.75, 0.875], 1e-6, 'states'))
  })

  test('half open gates and g(1) = 3/2: 3/4, 9/8, 21/16', async () => {
    await within(async () => expectClose(await states(Array(3).fill([1, 0])), [0.75, 1.125, 1.3125], 1e-6, 'states'))
  })

  test('a candidate of 0 and one just below it are alike: g is continuous', async () => {
    await within(async () => {
      expectClose(await states([[0, 0]]), [0.25], 1e-6, 'at 0')
      expectClose(await states([[-1e-4, 0]]), [0.25], 1e-4, 'below 0')
      expectClose(await states([[-1, 0]]), [sigmoid(-1) / 2], 1e-6, 'at -1')
    })
  })

  test('an open gate replaces the state and a shut one keeps it, exactly', async () => {
    await within(async () => {
      const tokens = [
        [2, 200],
        [7, -200],
        [3, 200],
      ] as const
      expect(await states(tokens)).toEqual([2.5, 2.5, 3.5])
    })
  })

  test('the scan = the loop = the log-space scan of the paper', async () => {
    await within(async () => {
      const [T, D] = [50, 4]
      const [hidden, gate] = [normal(new Rng(1), [1, T, D], 2), normal(new Rng(2), [1, T, D], 3)]
      const cell = minGruCoefficients(hidden, gate)
      const [c, k, a, b] = await Promise.all([hidden, gate, cell.a, cell.b].map(read))
      const loop = new Float64Array(T * D)
      const logs = new Float64Array(T * D)
      const scanned = new Float64Array(T * D)
      for (let d = 0; d < D; d++) {
        let [h, logH, fromCell, sumLogA] = [0, Number.NEGATIVE_INFINITY, 0, 0]
        for (let t = 0; t < T; t++) {
          const at = t * D + d
          const z = sigmoid(k?.[at] as number)
          h = (1 - z) * h + z * positive(c?.[at] as number)
          // appendix B: log h = a* + logcumsumexp(log b - a*), a* = cumsum(log a)
          sumLogA -= softplus(k?.[at] as number)
          const logB = -softplus(-(k?.[at] as number)) + Math.log(positive(c?.[at] as number))
          logH = logAddExp(logH, logB - sumLogA)
          fromCell = (a?.[at] as number) * fromCell + (b?.[at] as number)
          loop[at] = h
          logs[at] = Math.exp(sumLogA + logH)
          scanned[at] = fromCell
        }
      }
      expectClose(scanned, loop, 1e-5, 'coefficients against the equation')
      expectClose(scanned, logs, 1e-5, 'coefficients against log space')
    })
  })

  test('states stay between the smallest and the largest of the first state and the candidates so far', async () => {
    await within(async () => {
      const [T, D] = [40, 5]
      const cell = new MinGRU({ ...options, h0: 'half' }, new Rng(3))
      const x = normal(new Rng(4), [1, T, D], 3)
      const h = await read(cell.forward(x).y)
      const projected = await read(cell.projection.forward(x))
      for (let d = 0; d < D; d++) {
        let [low, high] = [0.5, 0.5]
        for (let t = 0; t < T; t++) {
          const candidate = positive(projected[t * 2 * D + d] as number)
          low = Math.min(low, candidate)
          high = Math.max(high, candidate)
          expect(h[t * D + d]).toBeGreaterThanOrEqual(low - 1e-6)
          expect(h[t * D + d]).toBeLessThanOrEqual(high + 1e-6)
        }
      }
      cell.dispose()
    })
  })
})

describe('minLSTM', () => {
  test('equal gates weigh equally, even where both are all but shut', async () => {
    await within(async () => {
      const gates = tensor3d([[[-300], [-20], [0], [3], [200]]])
      const { a, b } = minLstmCoefficients(fill([1, 5, 1], 0.5), gates, gates)
      expectClose(await read(a), Array(5).fill(0.5), 1e-6, "f'")
      expectClose(await read(b), Array(5).fill(0.5), 1e-6, "i' g(1/2)")
    })
  })

  test("f' = f / (f + i) and i' = i / (f + i) add up to 1", async () => {
    await within(async () => {
      const [kf, ki] = [normal(new Rng(5), [1, 30, 2], 4), normal(new Rng(6), [1, 30, 2], 4)]
      const { a, b } = minLstmCoefficients(fill([1, 30, 2], 0.5), kf, ki)
      const [f, i] = [(await read(kf)).map(sigmoid), (await read(ki)).map(sigmoid)]
      expectClose(
        await read(a),
        f.map((value, n) => value / (value + (i[n] as number))),
        1e-5,
        "f'",
      )
      expectClose(
        await read(b),
        i.map((value, n) => value / (value + (f[n] as number))),
        1e-5,
        "i'",
      )
    })
  })

  test("minGRU is minLSTM with f' = 1 - z", async () => {
    await within(async () => {
      const [hidden, gate] = [normal(new Rng(7), [2, 9, 3], 1), normal(new Rng(8), [2, 9, 3], 2)]
      const gru = minGruCoefficients(hidden, gate)
      // f = 1 - z and i = z add up to 1 as they are
      const lstm = minLstmCoefficients(hidden, neg(gate), gate)
      expectClose(await read(lstm.a), await read(gru.a), 1e-5, 'a')
      expectClose(await read(lstm.b), await read(gru.b), 1e-5, 'b')
    })
  })
})

describe('sizes', () => {
  const cell = (Cell: typeof MinGRU | typeof MinLSTM, alpha: number): number => {
    const { projection } = new Cell({ dModel: 8, expansion: alpha, h0: 'zero' }, new Rng(0))
    return projection.parameterCount()
  }

  test('minGRU has 2 dh dx values: 33, 22, 17 and 13 % of a GRU at expansions 1 to 4', async () => {
    await within(async () => {
      const shares = [1, 2, 3, 4].map((alpha) => {
        const [dx, dh] = [8, 8 * alpha]
        expect(cell(MinGRU, alpha)).toBe(2 * dh * dx)
        return Math.round((100 * cell(MinGRU, alpha)) / (3 * dh * (dx + dh)))
      })
      expect(shares).toEqual([33, 22, 17, 13])
    })
  })

  test('minLSTM has 3 dh dx values: 38, 25, 19 and 15 % of an LSTM at expansions 1 to 4', async () => {
    await within(async () => {
      const shares = [1, 2, 3, 4].map((alpha) => {
        const [dx, dh] = [8, 8 * alpha]
        expect(cell(MinLSTM, alpha)).toBe(3 * dh * dx)
        return Math.round((100 * cell(MinLSTM, alpha)) / (4 * dh * (dx + dh)))
      })
      expect(shares).toEqual([38, 25, 19, 15])
    })
  })

  test('the inner width is rounded down, and expansion 1 has no output projection', async () => {
    await within(async () => {
      const cells = [1, 1.5].map((expansion) => new MinGRU({ ...options, expansion }, new Rng(0)))
      expect(cells.map(({ outProj }) => outProj?.weight.shape ?? null)).toEqual([null, [5, 7]])
      expect(cells.map((c) => c.initialState(3).shape)).toEqual([
        [3, 5],
        [3, 7],
      ])
    })
  })

  test('the first state is 0, or g(0) = 1/2', async () => {
    await within(async () => {
      const first = (h0: 'zero' | 'half') => read(new MinGRU({ ...options, h0 }, new Rng(0)).initialState(2))
      expect(await first('zero')).toEqual(new Float32Array(10).fill(0))
      expect(await first('half')).toEqual(new Float32Array(10).fill(0.5))
    })
  })
})

describe('gaps', () => {
  test.each([
    ['minGRU', MinGRU],
    ['minLSTM', MinLSTM],
  ])('%s: a row of padding alone moves no state', async (_, Cell) => {
    await within(async () => {
      const cell = new Cell({ ...options, h0: 'half' }, new Rng(9))
      const before = normal(new Rng(10), [2, 5], 1)
      const x = normal(new Rng(11), [2, 6, 5], 1)
      const { state } = cell.forward(x, before, { training: false, mask: zeros([2, 6]) as Tensor2D })
      expect(await read(state)).toEqual(await read(before))
      cell.dispose()
    })
  })

  test.each([
    ['minGRU', MinGRU],
    ['minLSTM', MinLSTM],
  ])('%s: a reset at every token is one token after the first state each', async (_, Cell) => {
    await within(async () => {
      const cell = new Cell({ ...options, h0: 'half' }, new Rng(12))
      const x = normal(new Rng(13), [1, 4, 5], 1)
      const warm = normal(new Rng(14), [1, 5], 1)
      const packed = cell.forward(x, warm, { training: false, resets: ones([1, 4]) as Tensor2D })
      const alone = cell.forward(reshape(x, [4, 1, 5]))
      expectClose(await read(packed.y), await read(alone.y), 1e-6, 'tokens apart')
      cell.dispose()
    })
  })

  test('looking on changes nothing: what is recorded is what is returned', async () => {
    await within(async () => {
      const seen = new Map<string, Tensor>()
      const record: Recorder = { record: (name, value) => void seen.set(name, value), at: () => record }
      const cell = new MinGRU(options, new Rng(15))
      const x = normal(new Rng(16), [2, 7, 5], 1)
      const plain = await read(cell.forward(x).y)
      const watched = cell.forward(x, undefined, { training: false, record })
      expectClose(await read(watched.y), plain, 1e-6, 'outputs')
      expectClose(await read(seen.get('state') as Tensor), plain, 1e-6, 'recorded states')
      expect(seen.get('decay')?.shape).toEqual([2, 7, 5])
      cell.dispose()
    })
  })
})
