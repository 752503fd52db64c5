import { linearScan, normal, Rng } from '@mneme/core-tensor'
import { read, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { exp, eye, fill, log, mul, neg, ones, sub, type Tensor, zeros } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { LRU, type LruOptions } from './lru.js'

const options: LruOptions = { dModel: 3, dState: 5, rMin: 0.4, rMax: 0.9, maxPhase: 3, mixing: 'none' }

/** The recurrence in complex numbers, one token after the other, in float64; for one row. */
async function byHand(mixer: LRU, tokens: Tensor): Promise<Float64Array> {
  const { dModel: D, dState: N } = options
  const weights = await mixer.stateDict()
  const at = (name: string, i: number): number => weights[name]?.values[i] as number
  const u = await read(tokens)
  const [hr, hi] = [new Float64Array(N), new Float64Array(N)]
  return Float64Array.from(
    Array.from({ length: u.length / D }, (_, t) => {
      for (let n = 0; n < N; n++) {
        const [size, angle] = [Math.exp(-Math.exp(at('nuLog', n))), Math.exp(at('thetaLog', n))]
        const [c, s] = [size * Math.cos(angle), size * Math.sin(angle)]
        const [re, im] = [hr[n] as number, hi[n] as number]
        let [br, bi] = [0, 0]
        for (let d = 0; d < D; d++) {
          br += at('bRe', n * D + d) * (u[t * D + d] as number)
          bi += at('bIm', n * D + d) * (u[t * D + d] as number)
        }
        const gamma = Math.exp(at('gammaLog', n))
        hr[n] = c * re - s * im + gamma * br
        hi[n] = c * im + s * re + gamma * bi
      }
      return Array.from({ length: D }, (_, d) => {
        let y = at('skip', d) * (u[t * D + d] as number)
        for (let n = 0; n < N; n++) {
          y += at('cRe', d * N + n) * (hr[n] as number) - at('cIm', d * N + n) * (hi[n] as number)
        }
        return y
      })
    }).flat(),
  )
}

describe('LRU', () => {
  test('is the recurrence of the paper, token by token, and only the real part is read', async () => {
    await within(async () => {
      const mixer = new LRU(options, new Rng(1))
      const x = normal(new Rng(2), [1, 40, 3], 1)
      expectClose(await read(mixer.forward(x).y), await byHand(mixer, x), 1e-5, 'outputs')
      mixer.dispose()
    })
  })

  test('real λ and no scale: a leaky sum; with the scale 1 − λ an average', async () => {
    await within(async () => {
      const mixer = new LRU({ ...options, dState: 3 }, new Rng(3))
      mixer.thetaLog.assign(fill([3], -100))
      for (const identity of [mixer.bRe, mixer.cRe]) identity.assign(eye(3))
      for (const nothing of [mixer.bIm, mixer.cIm]) nothing.assign(zeros([3, 3]))
      mixer.skip.assign(zeros([3]))
      mixer.gammaLog.assign(zeros([3]))
      const x = normal(new Rng(4), [2, 15, 3], 1)
      const lambda = exp(neg(exp(mixer.nuLog)))
      const { h } = linearScan({ a: mul(lambda, ones([2, 15, 3])), b: x })
      expectClose(await read(mixer.forward(x).y), await read(h), 1e-5, 'leaky sum')
      const decays = await read(lambda)
      mixer.gammaLog.assign(log(sub(1, lambda)))
      const constant = await read(mixer.forward(ones([1, 200, 3])).y)
      // an average of ones is 1, but for what it started from
      const expected = constant.map((_, i) => 1 - (decays[i % 3] as number) ** (1 + Math.floor(i / 3)))
      expectClose(constant, expected, 1e-5, 'average')
      mixer.dispose()
    })
  })

  test('eigenvalues start in the ring, within the phases; the scale is sqrt(1 − |λ|²)', async () => {
    await within(async () => {
      const mixer = new LRU({ ...options, dState: 500, rMin: 0.9, rMax: 0.999, maxPhase: 0.3 }, new Rng(5))
      const { re, im } = mixer.eigenvalues()
      const [res, ims, gammas] = [await read(re), await read(im), await read(exp(mixer.gammaLog))]
      const sizes = res.map((value, n) => Math.hypot(value, ims[n] as number))
      expect(Math.min(...sizes)).toBeGreaterThanOrEqual(0.9 - 1e-5)
      expect(Math.max(...sizes)).toBeLessThanOrEqual(0.999 + 1e-5)
      // uniform over the area: half of them beyond the middle of the squares
      const middle = Math.sqrt((0.9 ** 2 + 0.999 ** 2) / 2)
      const beyond = sizes.filter((size) => size > middle).length
      expect(beyond).toBeGreaterThan(200)
      expect(beyond).toBeLessThan(300)
      const angles = res.map((value, n) => Math.atan2(ims[n] as number, value))
      expect(Math.min(...angles)).toBeGreaterThanOrEqual(0)
      expect(Math.max(...angles)).toBeLessThanOrEqual(0.3 + 1e-5)
      expectClose(
        gammas,
        sizes.map((size) => Math.sqrt(1 - size ** 2)),
        1e-3,
        'scales',
      )
      mixer.dispose()
    })
  })

  test('the whole disc, as by default, starts finite', async () => {
    await within(async () => {
      const mixer = new LRU({ ...options, dState: 2000, rMin: 0, rMax: 1, maxPhase: 6.28 }, new Rng(6))
      for (const [path, v] of mixer.namedParameters()) expect((await read(v)).every(Number.isFinite), path).toBe(true)
      const { re, im } = mixer.eigenvalues()
      const [res, ims] = [await read(re), await read(im)]
      expect(Math.max(...res.map((value, n) => Math.hypot(value, ims[n] as number)))).toBeLessThanOrEqual(1)
      mixer.dispose()
    })
  })
})
