import { normal, normalInit, normalisedLinearAttention, Rng } from '@mneme/core-tensor'
import { read, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { concat, fill, mul, reshape, slice, split, type Tensor, tensor, zeros } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { ReLiT, type RelitOptions } from './relit.js'

const [D, H, K, E] = [5, 2, 3, 2]
const F = E * K
const options: RelitOptions = { dModel: D, nHeads: H, dHead: K, expansion: E, projection: { init: normalInit(0.8) } }

const relu = (v: number): number => Math.max(v, 0)
const sigmoid = (v: number): number => 1 / (1 + Math.exp(-v))

/** Keys and queries above nothing in every feature, and gates that no token changes. */
function steady(mixer: ReLiT, beta: number, gamma: number): void {
  const [ofKeys, ofValues] = [2 * H * K, H * K]
  const kept = slice(mixer.inProj.weight, [0, 0], [3 * H * K, D])
  mixer.inProj.weight.assign(concat([mul(kept, 0.1), zeros([2 * H * K, D])]))
  const biases = [fill([ofKeys], 2), zeros([ofValues]), fill([H * K], beta), fill([H * K], gamma)]
  mixer.inProj.bias?.assign(concat(biases))
  const features = slice(mixer.featureProj.weight, [0, 0], [2 * H * E, D])
  mixer.featureProj.weight.assign(concat([mul(features, 0.1), zeros([H * E, D])]))
  mixer.featureProj.bias?.assign(concat([fill([2 * H * E], 2), fill([H * E], gamma)]))
}

describe('ReLiT', () => {
  test('is the recurrence, token by token, in float64', async () => {
    await within(async () => {
      const T = 15
      const mixer = new ReLiT(options, new Rng(1))
      const x = normal(new Rng(2), [1, T, D], 1)
      const [all, by] = [await read(mixer.inProj.forward(x)), await read(mixer.featureProj.forward(x))]
      const o = new Float64Array(T * H * K)
      for (let h = 0; h < H; h++) {
        const C = new Float64Array(F * K)
        const s = new Float64Array(F)
        for (let t = 0; t < T; t++) {
          const part = (n: number, i: number): number => all[t * 5 * H * K + n * H * K + h * K + i] as number
          const more = (n: number, i: number): number => by[t * 3 * H * E + n * H * E + h * E + i] as number
          const outer = (f: (v: number) => number, n: number, p: number): number[] =>
            Array.from({ length: F }, (_, i) => f(part(n, Math.floor(i / E))) * f(more(p, i % E)))
          const [k, q, gamma] = [outer(relu, 0, 0), outer(relu, 1, 1), outer(sigmoid, 4, 2)]
          const weight = q.reduce((total, value, f) => {
            const g = gamma[f] as number
            s[f] = (1 - g) * (s[f] as number) + g * (k[f] as number)
            return total + value * (s[f] as number)
          }, 0)
          for (let i = 0; i < K; i++) {
            let found = 0
            for (let f = 0; f < F; f++) {
              const g = (gamma[f] as number) * sigmoid(part(3, i))
              C[f * K + i] = (1 - g) * (C[f * K + i] as number) + g * (k[f] as number) * part(2, i)
              found += (C[f * K + i] as number) * (q[f] as number)
            }
            o[(t * H + h) * K + i] = found / (weight + 1e-10)
          }
        }
      }
      const expected = mixer.oProj.forward(tensor(Float32Array.from(o), [1, T, H * K]))
      expectClose(await read(mixer.forward(x).y), await read(expected), 1e-5, 'outputs')
      mixer.dispose()
    })
  })

  test('gates wide open: each token gives its own value', async () => {
    await within(async () => {
      const mixer = new ReLiT(options, new Rng(3))
      steady(mixer, 200, 200)
      const x = normal(new Rng(4), [2, 9, D], 1)
      const v = split(mixer.inProj.forward(x), 5, 2)[2] as Tensor
      expectClose(await read(mixer.forward(x).y), await read(mixer.oProj.forward(v)), 1e-5, 'outputs')
      mixer.dispose()
    })
  })

  test('gates that no token changes: linear attention that fades', async () => {
    await within(async () => {
      const [B, T, gamma] = [2, 17, -0.5]
      const mixer = new ReLiT(options, new Rng(5))
      steady(mixer, 200, gamma)
      const x = normal(new Rng(6), [B, T, D], 1)
      const [rawK, rawQ, v] = split(mixer.inProj.forward(x), 5, 2) as [Tensor, Tensor, Tensor]
      const [pK, pQ] = split(mixer.featureProj.forward(x), 3, 2) as [Tensor, Tensor]
      const outer = (a: Tensor, p: Tensor): Tensor =>
        reshape(mul(reshape(a, [B, T, H, K, 1]), reshape(p, [B, T, H, 1, E])), [B, T, H, F])
      const logDecay = fill([B, T, H, 1], Math.log(1 - sigmoid(gamma) ** 2))
      const { o } = normalisedLinearAttention(
        { q: outer(rawQ, pQ), k: outer(rawK, pK), v: reshape(v, [B, T, H, K]), logDecay },
        { scale: 1, eps: 0 },
      )
      const expected = mixer.oProj.forward(reshape(o, [B, T, H * K]))
      expectClose(await read(mixer.forward(x).y), await read(expected), 1e-5, 'outputs')
      mixer.dispose()
    })
  })

  test('state: F (K + 1) values a head, at any length', () => {
    const mixer = new ReLiT(options, new Rng(0))
    expect(mixer.stateBytes()).toBe(4 * H * F * (K + 1))
    mixer.dispose()
  })
})
