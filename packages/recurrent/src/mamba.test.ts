import { linearScan, normal, normalInit, Rng, selectiveScan } from '@mneme/core-tensor'
import { read, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import {
  div,
  fill,
  log,
  mul,
  neg,
  ones,
  sigmoid,
  softplus,
  sub,
  type Tensor,
  tensor,
  zeros,
} from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { Mamba, type MambaOptions } from './mamba.js'

const options: MambaOptions = {
  dModel: 4,
  dInner: 6,
  dState: 3,
  dtRank: 2,
  convWidth: 3,
  convBias: true,
  projection: { bias: false, init: normalInit(0.5) },
}

const silu = (x: number): number => x / (1 + Math.exp(-x))

/** The block as the paper's equations have it, one token after the other, in float64; for one row. */
async function byHand(mixer: Mamba, tokens: Tensor): Promise<Float64Array> {
  const weights = await mixer.stateDict()
  const at = (name: string, i: number): number => weights[name]?.values[i] as number
  const { dModel: D, dInner: E, dState: N, dtRank: R, convWidth: W } = options
  const u = await read(tokens)
  const T = u.length / D
  const times = (name: string, rows: number, x: readonly number[]): number[] =>
    Array.from({ length: rows }, (_, o) => x.reduce((sum, v, i) => sum + v * at(`${name}.weight`, o * x.length + i), 0))
  const h = new Float64Array(E * N)
  const inner: number[][] = []
  const outputs: number[] = []
  for (let t = 0; t < T; t++) {
    const xz = times('inProj', 2 * E, Array.from(u.subarray(t * D, (t + 1) * D)))
    inner.push(xz.slice(0, E))
    const x = Array.from({ length: E }, (_, e) => {
      let sum = at('conv.bias', e)
      for (let j = 0; j < W; j++) sum += at('conv.weight', e * W + j) * (inner[t - W + 1 + j]?.[e] ?? 0)
      return silu(sum)
    })
    const low = times('xProj', R + 2 * N, x)
    const y = times('dtProj', E, low.slice(0, R)).map((delta, e) => {
      const dt = Math.log1p(Math.exp(delta + at('dtProj.bias', e)))
      let sum = at('skip', e) * (x[e] as number)
      for (let n = 0; n < N; n++) {
        const kept = Math.exp(-dt * Math.exp(at('logA', e * N + n))) * (h[e * N + n] as number)
        h[e * N + n] = kept + dt * (low[R + n] as number) * (x[e] as number)
        sum += (low[R + N + n] as number) * (h[e * N + n] as number)
      }
      return sum * silu(xz[E + e] as number)
    })
    outputs.push(...times('outProj', D, y))
  }
  return Float64Array.from(outputs)
}

describe('Mamba', () => {
  test('is the recurrence of the paper, token by token', async () => {
    await within(async () => {
      const mixer = new Mamba(options, new Rng(1))
      mixer.conv.bias?.assign(normal(new Rng(2), [6], 1))
      mixer.dtProj.bias?.assign(normal(new Rng(3), [6], 1))
      const x = normal(new Rng(4), [1, 20, 4], 1)
      expectClose(await read(mixer.forward(x).y), await byHand(mixer, x), 1e-5, 'outputs')
      mixer.dispose()
    })
  })

  test('E = N = 1, A = −1, Δ = ln 2, B = C = 1, x = 1, 0, 0: y = ln 2, ln 2 / 2, ln 2 / 4', async () => {
    await within(async () => {
      const one = ones([1, 3, 1])
      const u = tensor([1, 0, 0], [1, 3, 1])
      const { y } = selectiveScan({ u, delta: zeros([1, 3, 1]), A: fill([1, 1], -1), Bt: one, C: one })
      expectClose(await read(y), [Math.LN2, Math.LN2 / 2, Math.LN2 / 4], 1e-6, 'outputs')
    })
  })

  test('N = 1 and A = −1: the step is a gate, exp(−Δ) = 1 − σ(delta), in every channel', async () => {
    await within(async () => {
      const [delta, h] = [normal(new Rng(5), [2, 1, 5], 3), normal(new Rng(6), [2, 5, 1], 1)]
      const nothing = { u: zeros([2, 1, 5]), Bt: ones([2, 1, 1]), C: ones([2, 1, 1]) }
      const { y } = selectiveScan({ ...nothing, delta, A: fill([5, 1], -1), state: h })
      const [kept, held] = [await read(sub(1, sigmoid(delta))), await read(h)]
      const expected = kept.map((share, i) => share * (held[i] as number))
      expectClose(await read(y), expected, 1e-5, 'what is kept')
    })
  })

  describe('Theorem 1: N = 1, A = −1, B = 1 is a gated recurrence, g = σ(delta)', () => {
    const draw = () => {
      const [u, delta] = [normal(new Rng(11), [2, 12, 5], 1), normal(new Rng(12), [2, 12, 5], 2)]
      const plain = { A: fill([5, 1], -1), Bt: ones([2, 12, 1]), C: ones([2, 12, 1]) }
      const h = normal(new Rng(13), [2, 5, 1], 1)
      const g = sigmoid(delta)
      const gated = (b: Tensor) => linearScan({ a: sub(1, g), b, h0: tensor(h.dataSync(), [2, 5]) }).h
      return { u, delta, g, gated, scan: (x: Tensor) => selectiveScan({ u: x, delta, ...plain, state: h }).y }
    }

    test('an input weighed as zero-order hold has it, (1 − e^−Δ) / Δ times as much: (1 − g) h + g x', async () => {
      await within(async () => {
        const { u, delta, g, gated, scan } = draw()
        const held = mul(u, div(g, softplus(delta)))
        expectClose(await read(scan(held)), await read(gated(mul(g, u))), 1e-5, 'states')
      })
    })

    test('as the recurrence is, by Euler: (1 − g) h − ln(1 − g) x', async () => {
      await within(async () => {
        const { u, g, gated, scan } = draw()
        expectClose(await read(scan(u)), await read(gated(mul(neg(log(sub(1, g))), u))), 1e-5, 'states')
      })
    })
  })

  test('a step of 0 keeps the state, a long one keeps nothing of it', async () => {
    await within(async () => {
      const mixer = new Mamba(options, new Rng(7))
      const x = normal(new Rng(8), [2, 9, 4], 1)
      const before = { h: normal(new Rng(9), [2, 6, 3], 1), tail: zeros([2, 2, 6]) }
      mixer.dtProj.bias?.assign(fill([6], -60))
      expectClose(await read(mixer.forward(x, before).state.h), await read(before.h), 1e-6, 'kept')
      mixer.dtProj.bias?.assign(fill([6], 200))
      const blank = { ...before, h: zeros([2, 6, 3]) }
      const [full, empty] = [mixer.forward(x, before), mixer.forward(x, blank)]
      expectClose(await read(full.state.h), await read(empty.state.h), 1e-6, 'forgotten')
      expect(Math.max(...(await read(full.state.h)).map(Math.abs))).toBeGreaterThan(1)
      mixer.dispose()
    })
  })

  test('A starts at −1 to −N in every channel, steps between 0.001 and 0.1, D at 1', async () => {
    await within(async () => {
      const mixer = new Mamba({ ...options, dInner: 40 }, new Rng(10))
      const A = Array.from({ length: 40 * 3 }, (_, i) => Math.log(1 + (i % 3)))
      expectClose(await read(mixer.logA), A, 1e-6, 'log A')
      const steps = (await read(mixer.dtProj.bias as Tensor)).map((bias) => Math.log1p(Math.exp(bias)))
      expect(Math.min(...steps)).toBeGreaterThan(0.00099)
      expect(Math.max(...steps)).toBeLessThan(0.101)
      expect(await read(mixer.skip)).toEqual(new Float32Array(40).fill(1))
      mixer.dispose()
    })
  })

  test('values: those of mamba-130m are 129,135,360', async () => {
    await within(async () => {
      const [D, E, N, R, W, V] = [768, 1536, 16, 48, 4, 50280]
      const mixer = new Mamba({ dModel: D, dInner: E, dState: N, dtRank: R, convWidth: W, convBias: true }, new Rng(0))
      const count = mixer.parameterCount()
      expect(count).toBe(2 * D * E + E * (W + 1) + E * (R + 2 * N) + R * E + E + E * N + E + E * D)
      expect(24 * (count + D) + V * D + D).toBe(129_135_360)
      mixer.dispose()
    })
  })
})
