import { deltaRule, type NamedTensor, normal, normalInit, type Recorder, Rng, unitLength } from '@mneme/core-tensor'
import { read, span, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { eye, fill, mul, ones, reshape, sigmoid, sub, sum, type Tensor, zeros } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { GatedDeltaNet, type GatedDeltaNetOptions } from './gated-delta-net.js'

type Inputs = Parameters<typeof deltaRule>[0]

/** Random inputs with keys of length 1. */
function drawn(seed: number, [B, T, H, K, V]: readonly [number, number, number, number, number]): Inputs {
  const rng = new Rng(seed)
  return {
    q: normal(rng, [B, T, H, K], 1),
    k: unitLength(normal(rng, [B, T, H, K], 1)),
    v: normal(rng, [B, T, H, V], 1),
    beta: sigmoid(normal(rng, [B, T, H], 1)),
    logDecay: mul(sigmoid(normal(rng, [B, T, H], 2)), -1),
    state: normal(rng, [B, H, K, V], 1),
  }
}

/** The recurrence, token by token, in float64. */
async function recurrence(inputs: Inputs, scale: number): Promise<{ o: Float64Array; state: Float64Array }> {
  const [B, T, H, K] = inputs.q.shape as [number, number, number, number]
  const V = inputs.v.shape[3] as number
  const [q, k, v, beta] = await Promise.all([inputs.q, inputs.k, inputs.v, inputs.beta].map(read))
  const decay = inputs.logDecay ? await read(inputs.logDecay) : new Float32Array(B * T * H)
  const state = Float64Array.from(inputs.state ? await read(inputs.state) : new Float32Array(B * H * K * V))
  const o = new Float64Array(B * T * H * V)
  for (let b = 0; b < B; b++) {
    for (let h = 0; h < H; h++) {
      const S = state.subarray((b * H + h) * K * V, (b * H + h + 1) * K * V)
      for (let t = 0; t < T; t++) {
        const token = (b * T + t) * H + h
        const at = (x: Float32Array | undefined, c: number, width: number): number => x?.[token * width + c] as number
        for (let n = 0; n < K * V; n++) S[n] = (S[n] as number) * Math.exp(decay[token] as number)
        for (let j = 0; j < V; j++) {
          let stored = 0
          for (let i = 0; i < K; i++) stored += (S[i * V + j] as number) * at(k, i, K)
          const error = at(beta, 0, 1) * (at(v, j, V) - stored)
          for (let i = 0; i < K; i++) S[i * V + j] = (S[i * V + j] as number) + at(k, i, K) * error
          let readout = 0
          for (let i = 0; i < K; i++) readout += (S[i * V + j] as number) * at(q, i, K)
          o[token * V + j] = scale * readout
        }
      }
    }
  }
  return { o, state }
}

async function expectSame(actual: ReturnType<typeof deltaRule>, expected: ReturnType<typeof deltaRule>): Promise<void> {
  expectClose(await read(actual.o), await read(expected.o), 1e-5, 'outputs')
  expectClose(await read(actual.state), await read(expected.state), 1e-5, 'state')
}

describe('delta rule', () => {
  test('k = 1, β = 1/2, v = 1 twice: S = 1/2, 3/4', async () => {
    await within(async () => {
      const all = (value: number): Tensor => fill([1, 2, 1, 1], value)
      const { o, state } = deltaRule({ q: all(1), k: all(1), v: all(1), beta: fill([1, 2, 1], 0.5) }, { scale: 1 })
      expectClose(await read(o), [0.5, 0.75], 1e-6, 'outputs')
      expectClose(await read(state), [0.75], 1e-6, 'state')
    })
  })

  test.each([1, 2, 5, 16, 37, 64])('chunks of %i tokens: as the recurrence', async (chunk) => {
    await within(async () => {
      const { logDecay, state, ...plain } = drawn(1, [2, 37, 2, 4, 3]) as Required<Inputs>
      for (const inputs of [plain, { ...plain, state }, { ...plain, logDecay }, { ...plain, logDecay, state }]) {
        const expected = await recurrence(inputs, 4 ** -0.5)
        const actual = deltaRule(inputs, { chunk })
        expectClose(await read(actual.o), expected.o, 1e-5, 'outputs')
        expectClose(await read(actual.state), expected.state, 1e-5, 'state')
      }
    })
  })

  test('a state carried from one call to the next: two calls are one', async () => {
    await within(async () => {
      const { state, ...inputs } = drawn(2, [2, 21, 2, 3, 4]) as Required<Inputs>
      const { resets: _, ...sequences } = inputs
      const piece = (begin: number, size: number): Inputs =>
        Object.fromEntries(
          Object.entries(sequences).map(([name, x]) => [name, span(x, begin, size)]),
        ) as unknown as Inputs
      const whole = deltaRule({ ...sequences, state }, { chunk: 8 })
      const first = deltaRule({ ...piece(0, 13), state }, { chunk: 8 })
      const second = deltaRule({ ...piece(13, 8), state: first.state }, { chunk: 8 })
      expectClose(await read(first.o), await read(span(whole.o, 0, 13)), 1e-5, 'first outputs')
      expectClose(await read(second.o), await read(span(whole.o, 13, 8)), 1e-5, 'second outputs')
      expectClose(await read(second.state), await read(whole.state), 1e-5, 'state')
    })
  })

  test('α = 1 is the plain delta rule', async () => {
    await within(async () => {
      const { logDecay: _, ...plain } = drawn(3, [1, 20, 2, 3, 3])
      await expectSame(
        deltaRule({ ...plain, logDecay: zeros([1, 20, 2]) }, { chunk: 8 }),
        deltaRule(plain, { chunk: 8 }),
      )
    })
  })

  test('in chunks, too, what a token writes is β_i (v_i − S_{i−1}ᵀ k_i) under its key', async () => {
    await within(async () => {
      const T = 11
      const { k, v, beta } = drawn(14, [1, T, 1, 4, 3])
      const upTo = (i: number) => {
        const first = (x: Tensor): Tensor => span(x, 0, i)
        return deltaRule({ q: first(k), k: first(k), v: first(v), beta: first(beta) }, { chunk: 4, scale: 1 }).state
      }
      const [values, betas] = [await read(v), await read(beta)]
      for (let i = 1; i < T; i++) {
        const key = reshape(span(k, i, 1), [4, 1])
        const under = (state: Tensor): Promise<Float32Array> => read(sum(mul(reshape(state, [4, 3]), key), 0))
        const [before, after] = [await under(upTo(i)), await under(upTo(i + 1))]
        const expected = before.map((held, j) => (betas[i] as number) * ((values[3 * i + j] as number) - held))
        expectClose(
          after.map((now, j) => now - (before[j] as number)),
          expected,
          1e-4,
          `token ${i}`,
        )
      }
    })
  })

  test('β = 1 and keys of length 1: what was written is read back exactly', async () => {
    await within(async () => {
      const { k, v, state } = drawn(4, [2, 18, 2, 4, 3]) as Required<Inputs>
      const { o } = deltaRule({ q: k, k, v, beta: ones([2, 18, 2]), state }, { chunk: 8, scale: 1 })
      expectClose(await read(o), await read(v), 1e-5, 'read back')
    })
  })

  test('orthonormal keys: the delta rule is linear attention, and with decay simple gated linear attention', async () => {
    await within(async () => {
      const [T, V] = [6, 3]
      const { q, v, beta, logDecay } = drawn(5, [1, T, 1, T, V]) as Required<Inputs>
      const k = reshape(eye(T), [1, T, 1, T])
      const [qs, vs, betas, decays] = await Promise.all([q, v, beta, logDecay].map(read))
      for (const gated of [false, true]) {
        // o_t = Σ_{s ≤ t} e^{g_{s+1} + ... + g_t} (q_t·k_s) β_s v_s
        const expected = Float64Array.from({ length: T * V }, (_, n) => {
          const [t, j] = [Math.floor(n / V), n % V]
          let [total, log] = [0, 0]
          for (let s = t; s >= 0; s--) {
            const score = (qs?.[t * T + s] as number) * (betas?.[s] as number)
            total += Math.exp(gated ? log : 0) * score * (vs?.[s * V + j] as number)
            log += decays?.[s] as number
          }
          return total
        })
        const { o } = deltaRule({ q, k, v, beta, ...(gated && { logDecay }) }, { chunk: 4, scale: 1 })
        expectClose(await read(o), expected, 1e-5, gated ? 'with decay' : 'without decay')
      }
    })
  })

  test('I - β k kᵀ has eigenvalue 1 - β along k and 1 across it: within [0, 1], or [-1, 1] up to β = 2', async () => {
    await within(async () => {
      const K = 4
      const k = unitLength(normal(new Rng(6), [1, 1, 1, K], 1))
      const other = normal(new Rng(7), [1, 1, 1, K], 1)
      const across = sub(other, mul(k, sum(mul(other, k))))
      for (const beta of [0, 0.3, 1, 1.7, 2]) {
        const nothing = { v: zeros([1, 1, 1, K]), beta: fill([1, 1, 1], beta), state: reshape(eye(K), [1, 1, K, K]) }
        // the state after one token from S = I is the transition itself, and symmetric: reading with q applies it
        const along = deltaRule({ ...nothing, q: k, k }, { scale: 1 }).o
        expectClose(await read(along), await read(mul(k, 1 - beta)), 2e-5, `β = ${beta}, along k`)
        const aside = deltaRule({ ...nothing, q: across, k }, { scale: 1 }).o
        expectClose(await read(aside), await read(across), 2e-5, `β = ${beta}, across k`)
      }
    })
  })

  test('tokens with k = v = 0, β = 0 and no decay leave the state as it is', async () => {
    await within(async () => {
      const { q, state } = drawn(8, [2, 9, 2, 3, 4]) as Required<Inputs>
      const gates = zeros([2, 9, 2])
      const empty = { k: zeros([2, 9, 2, 3]), v: zeros([2, 9, 2, 4]), beta: gates, logDecay: gates }
      expect(await read(deltaRule({ q, ...empty, state }, { chunk: 4 }).state)).toEqual(await read(state))
    })
  })

  test('one key written over and over: the last value stays, in chunks as long as the text', async () => {
    await within(async () => {
      const T = 64
      const k = mul(unitLength(normal(new Rng(9), [1, 1, 1, 4], 1)), ones([1, T, 1, 1]))
      const v = normal(new Rng(10), [1, T, 1, 3], 1)
      const inputs = { q: k, k, v, beta: ones([1, T, 1]) }
      expectClose(await read(deltaRule(inputs, { chunk: T, scale: 1 }).o), await read(v), 1e-5, 'last values')
    })
  })

  test('one key with β near 2, in chunks as long as the text: as the recurrence', async () => {
    await within(async () => {
      const T = 64
      const k = mul(unitLength(normal(new Rng(11), [1, 1, 1, 4], 1)), ones([1, T, 1, 1]))
      const inputs = { q: k, k, v: normal(new Rng(12), [1, T, 1, 3], 1), beta: fill([1, T, 1], 1.95) }
      const expected = await recurrence(inputs, 1)
      expectClose(await read(deltaRule(inputs, { chunk: T, scale: 1 }).o), expected.o, 1e-5, 'outputs')
    })
  })

  test('decay so strong that its product underflows leaves finite numbers', async () => {
    await within(async () => {
      const { q, k, v, beta, state } = drawn(13, [1, 40, 1, 3, 3]) as Required<Inputs>
      const inputs = { q, k, v, beta, state, logDecay: fill([1, 40, 1], -60) }
      const expected = await recurrence(inputs, 1)
      expectClose(await read(deltaRule(inputs, { chunk: 40, scale: 1 }).o), expected.o, 1e-5, 'outputs')
    })
  })
})

const options: GatedDeltaNetOptions = {
  dModel: 6,
  nHeads: 2,
  nVHeads: 2,
  dHead: 3,
  expandV: 2,
  convWidth: 4,
  outputGate: true,
  allowNegEigval: false,
  normEps: 1e-5,
  chunk: 8,
  projection: { bias: false, init: normalInit(0.8) },
}

describe('GatedDeltaNet', () => {
  test('the chunk changes no result', async () => {
    await within(async () => {
      const x = normal(new Rng(14), [2, 19, 6], 1)
      const run = async (chunk: number) => read(new GatedDeltaNet({ ...options, chunk }, new Rng(1)).forward(x).y)
      const one = await run(1)
      for (const chunk of [2, 7, 19, 64]) expectClose(await run(chunk), one, 1e-5, `chunk ${chunk}`)
    })
  })

  test('β lies in (0, 1), and in (0, 2) beyond 1 where negative eigenvalues are allowed', async () => {
    await within(async () => {
      const seen: Tensor[] = []
      const record: Recorder = { record: (name, value) => void (name === 'beta' && seen.push(value)), at: () => record }
      const x = normal(new Rng(15), [2, 50, 6], 2)
      for (const allowNegEigval of [false, true]) {
        new GatedDeltaNet({ ...options, allowNegEigval }, new Rng(1)).forward(x, undefined, { training: false, record })
      }
      const [plain, doubled] = await Promise.all(seen.map(read))
      expect(Math.max(...(plain as Float32Array))).toBeLessThanOrEqual(1)
      expect(Math.max(...(doubled as Float32Array))).toBeGreaterThan(1)
      expectClose(
        doubled as Float32Array,
        (plain as Float32Array).map((b) => 2 * b),
        1e-6,
        'doubled',
      )
    })
  })

  test('the decay is e^(-e^A softplus(a + δ)), never above 1', async () => {
    await within(async () => {
      const seen = new Map<string, Tensor>()
      const record: Recorder = { record: (name, value) => void seen.set(name, value), at: () => record }
      const mixer = new GatedDeltaNet(options, new Rng(2))
      const x = normal(new Rng(16), [1, 5, 6], 1)
      mixer.forward(x, undefined, { training: false, record })
      const [a, A, bias] = await Promise.all([mixer.aProj.forward(x), mixer.logRate, mixer.rateBias].map(read))
      const expected = (a as Float32Array).map((value, n) => {
        const softplus = Math.log1p(Math.exp(value + (bias?.[n % 2] as number)))
        return -Math.exp(A?.[n % 2] as number) * softplus
      })
      expectClose(await read(seen.get('logDecay') as Tensor), expected, 1e-5, 'log decay')
      expect(Math.max(...expected)).toBeLessThanOrEqual(0)
    })
  })

  test('value heads share query and key heads in turn: as heads that are each repeated in a row', async () => {
    await within(async () => {
      const shared = new GatedDeltaNet({ ...options, nVHeads: 4 }, new Rng(3))
      const apart = new GatedDeltaNet({ ...options, nHeads: 4, nVHeads: 4 }, new Rng(4))
      const weights = await shared.stateDict()
      const names = ['qProj.weight', 'kProj.weight', 'qConv.weight', 'kConv.weight']
      apart.loadStateDict({
        ...weights,
        ...Object.fromEntries(names.map((name) => [name, repeated(weights[name], 3, 2)])),
      })
      const x = normal(new Rng(17), [2, 9, 6], 1)
      expectClose(await read(shared.forward(x).y), await read(apart.forward(x).y), 1e-5, 'heads')
    })
  })

  test('state: memory and three convolution tails, of the same size at any length', async () => {
    await within(async () => {
      const mixer = new GatedDeltaNet(options, new Rng(5))
      const shapes = (T: number) =>
        Object.values(mixer.forward(normal(new Rng(18), [2, T, 6], 1)).state).map(({ shape }) => shape)
      expect(shapes(1)).toEqual([
        [2, 2, 3, 6],
        [2, 3, 6],
        [2, 3, 6],
        [2, 3, 12],
      ])
      expect(shapes(20)).toEqual(shapes(1))
    })
  })

  test('values: D (2 H K + 3 HV V + 2 HV), taps, and what is per head', async () => {
    await within(async () => {
      const [D, keys, values, heads] = [6, 2 * 3, 2 * 6, 2]
      const taps = 4 * (2 * keys + values)
      const count = D * (2 * keys + 3 * values + 2 * heads) + taps + 2 * heads + 6
      expect(new GatedDeltaNet(options, new Rng(0)).parameterCount()).toBe(count)
      const gateless = new GatedDeltaNet({ ...options, outputGate: false }, new Rng(0))
      expect(gateless.parameterCount()).toBe(count - D * values)
    })
  })

  test('rates start as published: e^A in (0, 16], time steps in [0.001, 0.1]', async () => {
    await within(async () => {
      const mixer = new GatedDeltaNet({ ...options, nVHeads: 40, nHeads: 40 }, new Rng(6))
      for (const A of await read(mixer.logRate)) {
        expect(Math.exp(A)).toBeGreaterThan(0)
        expect(Math.exp(A)).toBeLessThanOrEqual(16.001)
      }
      for (const bias of await read(mixer.rateBias)) {
        const step = Math.log1p(Math.exp(bias))
        expect(step).toBeGreaterThan(0.00099)
        expect(step).toBeLessThan(0.101)
      }
    })
  })

  test('value heads that are no multiple of heads are refused', () => {
    expect(() => new GatedDeltaNet({ ...options, nVHeads: 3 }, new Rng(0))).toThrow(/multiple of nHeads = 2, got 3/)
  })
})

/** Rows of a weight `[heads * rows, W]`, each head's rows `times` times in a row. */
function repeated(weight: NamedTensor | undefined, rows: number, times: number): NamedTensor {
  if (weight === undefined) throw new Error('expected a weight, got none.')
  const [height, W] = weight.shape as [number, number]
  const block = rows * W
  const values = Float32Array.from({ length: height * W * times }, (_, n) => {
    const head = Math.floor(n / (block * times))
    return weight.values[head * block + (n % block)] as number
  })
  return { shape: [height * times, W], values }
}
