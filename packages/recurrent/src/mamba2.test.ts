import { gatedLinearAttention, normal, normalInit, type Recorder, Rng, selectiveScan } from '@mneme/core-tensor'
import { read, span, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import {
  add,
  concat,
  expm1,
  fill,
  log,
  mul,
  ones,
  reshape,
  slice,
  softplus,
  type Tensor,
  tensor,
  transpose,
  zeros,
} from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { Mamba2, type Mamba2Options, type SsdInputs, ssd } from './mamba2.js'

const options: Mamba2Options = {
  dModel: 4,
  nHeads: 4,
  dHead: 3,
  dState: 5,
  nGroups: 2,
  convWidth: 3,
  convBias: true,
  stepLimit: [0, Number.POSITIVE_INFINITY],
  normEps: 1e-5,
  normGroups: 1,
  chunk: 16,
  projection: { bias: false, init: normalInit(0.5) },
}

const [B, T, H, P, G, N] = [2, 21, 4, 3, 2, 5]

function drawn(seed: number): Required<Omit<SsdInputs, 'resets'>> {
  const rng = new Rng(seed)
  return {
    x: normal(rng, [B, T, H, P], 1),
    step: softplus(normal(rng, [B, T, H], 1)),
    A: mul(softplus(normal(rng, [H], 1)), -1),
    Bt: normal(rng, [B, T, G, N], 1),
    C: normal(rng, [B, T, G, N], 1),
    skip: normal(rng, [H], 1),
    state: normal(rng, [B, H, N, P], 1),
  }
}

/** y = (L ∘ C Bᵀ) Δ x + D x, in float64 and without any state. */
async function dual({ x, step, A, Bt, C, skip }: SsdInputs): Promise<Float64Array> {
  const [xs, steps, rates, Bs, Cs, skips] = (await Promise.all([x, step, A, Bt, C, skip].map(read))) as Float32Array[]
  const of = (values: Float32Array | undefined, i: number): number => values?.[i] as number
  const y = new Float64Array(B * T * H * P)
  for (let b = 0; b < B; b++) {
    for (let h = 0; h < H; h++) {
      const group = Math.floor(h / (H / G))
      for (let t = 0; t < T; t++) {
        let log = 0
        for (let s = t; s >= 0; s--) {
          let score = 0
          for (let n = 0; n < N; n++) {
            score += of(Cs, ((b * T + t) * G + group) * N + n) * of(Bs, ((b * T + s) * G + group) * N + n)
          }
          const weight = Math.exp(log) * score * of(steps, (b * T + s) * H + h) + (s === t ? of(skips, h) : 0)
          for (let p = 0; p < P; p++) {
            const at = ((b * T + t) * H + h) * P + p
            y[at] = (y[at] as number) + weight * of(xs, ((b * T + s) * H + h) * P + p)
          }
          log += of(steps, (b * T + s) * H + h) * of(rates, h)
        }
      }
    }
  }
  return y
}

describe('state space duality', () => {
  test('H = P = N = 1, A = −1, Δ = ln 2, x = 1, 1: y = ln 2, 3/2 ln 2', async () => {
    await within(async () => {
      const one = ones([1, 2, 1, 1])
      const step = fill([1, 2, 1], Math.LN2)
      const { y } = ssd({ x: one, step, A: tensor([-1]), Bt: one, C: one, skip: zeros([1]) })
      expectClose(await read(y), [Math.LN2, 1.5 * Math.LN2], 1e-6, 'outputs')
    })
  })

  test('the dual form is the recurrence in chunks of any size', async () => {
    await within(async () => {
      const { state: _, ...inputs } = drawn(1)
      const expected = await dual(inputs)
      const whole = ssd(inputs, 64)
      for (const chunk of [1, 2, 7, 16, 64]) {
        const { y, state } = ssd(inputs, chunk)
        expectClose(await read(y), expected, 1e-5, `chunks of ${chunk}`)
        expectClose(await read(state), await read(whole.state), 1e-5, `state, chunks of ${chunk}`)
      }
    })
  })

  test('two pieces, the state handed over, are the whole', async () => {
    await within(async () => {
      const { A, skip, state, ...sequences } = drawn(2)
      const piece = (begin: number, size: number): typeof sequences =>
        Object.fromEntries(
          Object.entries(sequences).map(([name, x]) => [name, span(x, begin, size)]),
        ) as unknown as typeof sequences
      const whole = ssd({ ...sequences, A, skip, state }, 8)
      const first = ssd({ ...piece(0, 13), A, skip, state }, 8)
      const second = ssd({ ...piece(13, 8), A, skip, state: first.state }, 8)
      expectClose(await read(concat([first.y, second.y], 1)), await read(whole.y), 1e-5, 'outputs')
      expectClose(await read(second.state), await read(whole.state), 1e-5, 'state')
    })
  })

  test('steps of 1: a constant decay e^A, which is retention, and A = 0 plain linear attention', async () => {
    await within(async () => {
      const { x, A, Bt, C, state } = drawn(3)
      const [step, skip] = [ones([B, T, H]), zeros([H])]
      const attention = { q: C, k: Bt, v: x, state }
      const retention = gatedLinearAttention({ ...attention, logDecay: reshape(A, [1, 1, H, 1]) }, { scale: 1 })
      expectClose(
        await read(ssd({ x, step, A, Bt, C, skip, state }).y),
        await read(retention.o),
        1e-5,
        'constant decay',
      )
      const plain = gatedLinearAttention(attention, { scale: 1 })
      const none = ssd({ x, step, A: zeros([H]), Bt, C, skip, state })
      expectClose(await read(none.y), await read(plain.o), 1e-5, 'no decay')
    })
  })

  test('one decay a head is the same decay in every channel of the keys', async () => {
    await within(async () => {
      const { x, step, A, Bt, C, state } = drawn(4)
      const logDecay = mul(reshape(mul(step, A), [B, T, H, 1]), ones([1, 1, 1, N]))
      const v = mul(x, reshape(step, [B, T, H, 1]))
      const { o } = gatedLinearAttention({ q: C, k: Bt, v, logDecay, state }, { scale: 1 })
      expectClose(await read(ssd({ x, step, A, Bt, C, skip: zeros([H]), state }).y), await read(o), 1e-5, 'outputs')
    })
  })

  test("is Mamba's scan where all channels of a head share their step, and all states their decay", async () => {
    await within(async () => {
      const all = drawn(5)
      const one = { Bt: slice(all.Bt, [0, 0, 0, 0], [B, T, 1, N]), C: slice(all.C, [0, 0, 0, 0], [B, T, 1, N]) }
      const perChannel = (heads: Tensor, leading: number[]): Tensor =>
        reshape(mul(reshape(heads, [...leading, H, 1]), ones([P])), [...leading, H * P])
      const raw = perChannel(log(expm1(all.step)), [B, T]) // softplus of it is the step
      const scanned = selectiveScan({
        u: reshape(all.x, [B, T, H * P]),
        delta: raw,
        A: mul(reshape(perChannel(all.A, []), [H * P, 1]), ones([1, N])),
        Bt: reshape(one.Bt, [B, T, N]),
        C: reshape(one.C, [B, T, N]),
        skip: perChannel(all.skip, []),
        state: reshape(transpose(all.state, [0, 1, 3, 2]), [B, H * P, N]),
      })
      const { y, state } = ssd({ ...all, ...one })
      expectClose(await read(y), await read(scanned.y), 1e-5, 'outputs')
      const turned = reshape(transpose(state, [0, 1, 3, 2]), [B, H * P, N])
      expectClose(await read(turned), await read(scanned.state), 1e-5, 'state')
    })
  })
})

describe('Mamba2', () => {
  test('is the paper written out: gate before the norm, D on x alone, contiguous heads a group', async () => {
    await within(async () => {
      for (const normGroups of [1, 2]) {
        const mixer = new Mamba2({ ...options, normGroups }, new Rng(6))
        mixer.norm.weight.assign(normal(new Rng(7), [12], 1))
        const x = normal(new Rng(8), [2, T, 4], 1)
        const E = H * P
        const [projected, tail] = [mixer.inProj.forward(x), mixer.conv.initialState(2)]
        const part = (y: Tensor, begin: number, size: number): Tensor => slice(y, [0, 0, begin], [2, T, size])
        const conv = mixer.conv.forward(part(projected, E, E + 2 * G * N), tail).y
        const values = await read(conv)
        const xBC = tensor(
          values.map((v) => v / (1 + Math.exp(-v))),
          conv.shape,
        )
        const y = await dual({
          x: reshape(part(xBC, 0, E), [2, T, H, P]),
          Bt: reshape(part(xBC, E, G * N), [2, T, G, N]),
          C: reshape(part(xBC, E + G * N, G * N), [2, T, G, N]),
          step: softplus(add(part(projected, 2 * E + 2 * G * N, H), mixer.stepBias)),
          A: tensor((await read(mixer.logA)).map((a) => -Math.exp(a))),
          skip: mixer.skip,
        })
        const [z, weight] = [await read(part(projected, 0, E)), await read(mixer.norm.weight)]
        const gated = y.map((v, i) => (v * (z[i] as number)) / (1 + Math.exp(-(z[i] as number))))
        const width = E / normGroups
        const normed = gated.map((v, i) => {
          const start = Math.floor(i / width) * width
          const squares = gated.subarray(start, start + width).reduce((sum, g) => sum + g * g, 0)
          return (v / Math.sqrt(squares / width + 1e-5)) * (weight[i % E] as number)
        })
        const expected = mixer.outProj.forward(tensor(Float32Array.from(normed), [2, T, E]))
        expectClose(await read(mixer.forward(x).y), await read(expected), 1e-5, `${normGroups} groups`)
        mixer.dispose()
      }
    })
  })

  test('steps stay within their limits', async () => {
    await within(async () => {
      const seen: Tensor[] = []
      const record: Recorder = { record: (name, value) => void (name === 'step' && seen.push(value)), at: () => record }
      const mixer = new Mamba2({ ...options, stepLimit: [0.05, 0.2] }, new Rng(9))
      mixer.stepBias.assign(normal(new Rng(10), [H], 4))
      mixer.forward(normal(new Rng(11), [2, T, 4], 1), undefined, { training: false, record })
      const steps = await read(seen[0] as Tensor)
      expect(Math.min(...steps)).toBeCloseTo(0.05, 6)
      expect(Math.max(...steps)).toBeCloseTo(0.2, 6)
      mixer.dispose()
    })
  })

  test('rates start in [1, 16], steps in [0.001, 0.1], D at 1', async () => {
    await within(async () => {
      const mixer = new Mamba2({ ...options, nHeads: 40 }, new Rng(12))
      const rates = (await read(mixer.logA)).map(Math.exp)
      expect(Math.min(...rates)).toBeGreaterThanOrEqual(1)
      expect(Math.max(...rates)).toBeLessThanOrEqual(16.001)
      const steps = (await read(mixer.stepBias)).map((bias) => Math.log1p(Math.exp(bias)))
      expect(Math.min(...steps)).toBeGreaterThan(0.00099)
      expect(Math.max(...steps)).toBeLessThan(0.101)
      expect(await read(mixer.skip)).toEqual(new Float32Array(40).fill(1))
      mixer.dispose()
    })
  })

  test('values: those of mamba2-130m are 128,989,632', async () => {
    await within(async () => {
      const [D, E, states, heads, W, V] = [768, 1536, 128, 24, 4, 50288]
      const published = { dModel: D, nHeads: heads, dHead: 64, dState: states, nGroups: 1, convWidth: W, chunk: 256 }
      const mixer = new Mamba2({ ...options, ...published, projection: { bias: false } }, new Rng(0))
      const wide = E + 2 * states
      const count = mixer.parameterCount()
      expect(count).toBe(D * (E + wide + heads) + wide * (W + 1) + 3 * heads + E + E * D)
      expect(24 * (count + D) + V * D + D).toBe(128_989_632)
      mixer.dispose()
    })
  })

  test('groups that do not divide the heads are refused', () => {
    expect(() => new Mamba2({ ...options, nGroups: 3 }, new Rng(0))).toThrow(/divisor of nHeads = 4, got 3/)
  })
})
