import { linearScan, normal, normalInit, Rng } from '@mneme/core-tensor'
import { read, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { concat, fill, mul, sigmoid, split, sub, type Tensor, tensor, zeros } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { AReLiT, type ArelitOptions } from './arelit.js'

const options: ArelitOptions = {
  dModel: 5,
  nHeads: 2,
  dHead: 3,
  expansion: 2,
  components: 4,
  spectrum: 'full',
  projection: { init: normalInit(0.8) },
}

/** The recurrence, token by token, in float64; the readout before its projection. */
async function recurrence(mixer: AReLiT, x: Tensor, R: number): Promise<Float64Array> {
  const T = x.shape[1] as number
  const [all, features] = [await read(mixer.inProj.forward(x)), await read(mixer.featureProj.forward(x))]
  const relu = (v: number): number => Math.max(v, 0)
  const sigmoid = (v: number): number => 1 / (1 + Math.exp(-v))
  const o = new Float64Array(T * 6)
  for (let h = 0; h < 2; h++) {
    const keys = Array.from({ length: R }, () => new Float64Array(6))
    const values = Array.from({ length: R }, () => new Float64Array(3))
    const s = new Float64Array(6)
    for (let t = 0; t < T; t++) {
      const part = (n: number, i: number): number => all[t * 30 + n * 6 + h * 3 + i] as number
      const by = (n: number, i: number): number => features[t * 12 + n * 4 + h * 2 + i] as number
      const outer = (f: (v: number) => number, n: number, p: number): number[] =>
        Array.from({ length: 6 }, (_, i) => f(part(n, Math.floor(i / 2))) * f(by(p, i % 2)))
      const [k, q, gamma] = [outer(relu, 0, 0), outer(relu, 1, 1), outer(sigmoid, 4, 2)]
      for (let i = 0; i < 6; i++) {
        s[i] = (1 - (gamma[i] as number)) * (s[i] as number) + (gamma[i] as number) * (k[i] as number)
      }
      const weight = s.reduce((sum, v, i) => sum + v * (q[i] as number), 0)
      for (let r = 0; r < R; r++) {
        const wave = Math.cos((-Math.PI + (2 * Math.PI * r) / (R - 1)) * (t + 2))
        const [key, value] = [keys[r] as Float64Array, values[r] as Float64Array]
        for (let i = 0; i < 6; i++) {
          key[i] = (1 - (gamma[i] as number)) * (key[i] as number) + wave * (gamma[i] as number) * (k[i] as number)
        }
        const read = key.reduce((sum, v, i) => sum + v * (q[i] as number), 0)
        for (let i = 0; i < 3; i++) {
          const beta = sigmoid(part(3, i))
          value[i] = (1 - beta) * (value[i] as number) + wave * beta * part(2, i)
          const n = t * 6 + h * 3 + i
          o[n] = (o[n] as number) + ((value[i] as number) * read) / (2 * R * weight + 1e-5)
        }
      }
    }
  }
  return o
}

describe('AReLiT', () => {
  test.each([2, 4])('%i components: as the recurrence', async (components) => {
    await within(async () => {
      const mixer = new AReLiT({ ...options, components }, new Rng(1))
      const x = normal(new Rng(2), [1, 17, 5], 1)
      const o = await recurrence(mixer, x, components)
      const expected = mixer.oProj.forward(tensor(Float32Array.from(o), [1, 17, 6]))
      expectClose(await read(mixer.forward(x).y), await read(expected), 1e-4, 'outputs')
    })
  })

  test('one component that stands still: half of an average of values that fades', async () => {
    await within(async () => {
      const mixer = new AReLiT({ ...options, components: 1, spectrum: 'half' }, new Rng(7))
      // keys and queries above nothing in every feature, so that no weight vanishes
      mixer.inProj.bias?.assign(concat([fill([12], 9), fill([18], 0)]))
      mixer.featureProj.bias?.assign(concat([fill([8], 9), fill([4], 0)]))
      const x = normal(new Rng(8), [2, 11, 5], 1)
      const [, , v, beta] = split(mixer.inProj.forward(x), 5, 2) as [Tensor, Tensor, Tensor, Tensor]
      const open = sigmoid(beta)
      const { h } = linearScan({ a: sub(1, open), b: mul(open, v), h0: zeros([2, 6]) })
      const expected = mixer.oProj.forward(mul(h, 0.5))
      expectClose(await read(mixer.forward(x).y), await read(expected), 1e-5, 'outputs')
      mixer.dispose()
    })
  })

  test('a count of millions is as good as one of its remainder', async () => {
    await within(async () => {
      const mixer = new AReLiT(options, new Rng(3))
      const x = normal(new Rng(4), [1, 5, 5], 1)
      // four components come round together every 6 tokens
      const late = mixer.forward(x, { ...mixer.initialState(1), position: 6_000_000 })
      expectClose(await read(late.y), await read(mixer.forward(x).y), 1e-6, 'outputs')
    })
  })

  test('state: R (F + K) + F values a head, at any length', () => {
    const mixer = new AReLiT(options, new Rng(0))
    expect(mixer.stateBytes()).toBe(4 * 2 * (4 * (6 + 3) + 6))
    mixer.dispose()
  })

  test('components below one are refused', () => {
    expect(() => new AReLiT({ ...options, components: 0 }, new Rng(0))).toThrow(/at least 1, got 0/)
  })
})
