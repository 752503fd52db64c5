import { normal, Rng } from '@mneme/core-tensor'
import { read, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { concat, exp, fill, mul, ones, reshape, type Tensor, tensor, zeros } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { hippoNormal } from './hippo.js'
import { S4D } from './s4d.js'
import { S5, type S5Options } from './s5.js'

const options: S5Options = { dModel: 3, dState: 8, blocks: 1, clipRates: false, mixing: 'none' }

describe('S5', () => {
  test('with one channel is S4D, whose B is 1', async () => {
    await within(async () => {
      const s5 = new S5({ ...options, dModel: 1 }, new Rng(1))
      const s4d = new S4D({ dModel: 1, dState: 8, frequencies: 'lin', mixing: 'none' }, new Rng(2))
      s5.lambdaRe.assign(reshape(mul(exp(s4d.logARe), -1), [4]))
      s5.lambdaIm.assign(reshape(s4d.aIm, [4]))
      s5.b.assign(concat([ones([4, 1, 1]), zeros([4, 1, 1])], 2))
      s5.c.assign(s4d.c)
      s5.skip.assign(s4d.skip)
      s5.logStep.assign(mul(s4d.logStep, ones([4])))
      const x = normal(new Rng(3), [2, 30, 1], 1)
      expectClose(await read(s5.forward(x).y), await read(s4d.forward(x).y), 1e-5, 'outputs')
      s5.dispose()
      s4d.dispose()
    })
  })

  test('is the dense state space of its matrices, held over steps, in float64', async () => {
    await within(async () => {
      const mixer = new S5(options, new Rng(4))
      mixer.logStep.assign(normal(new Rng(5), [4], 0.5))
      const x = normal(new Rng(6), [1, 30, 3], 1)
      const [u, lr, li, b, c, skip, logStep] = (await Promise.all(
        [x, mixer.lambdaRe, mixer.lambdaIm, mixer.b, mixer.c, mixer.skip, mixer.logStep].map(read),
      )) as [Float32Array, ...Float32Array[]]
      const of = (values: Float32Array | undefined, i: number): number => values?.[i] as number
      const [hr, hi] = [new Float64Array(4), new Float64Array(4)]
      const expected: number[] = []
      for (let t = 0; t < 30; t++) {
        for (let p = 0; p < 4; p++) {
          const step = Math.exp(of(logStep, p))
          const [re, im] = [of(lr, p), of(li, p)]
          const size = Math.exp(re * step)
          const [ar, ai] = [size * Math.cos(im * step), size * Math.sin(im * step)]
          const [gr, gi] = [
            ((ar - 1) * re + ai * im) / (re * re + im * im),
            (ai * re - (ar - 1) * im) / (re * re + im * im),
          ]
          let [br, bi] = [0, 0]
          for (let d = 0; d < 3; d++) {
            br += of(b, (p * 3 + d) * 2) * of(u, t * 3 + d)
            bi += of(b, (p * 3 + d) * 2 + 1) * of(u, t * 3 + d)
          }
          const [x0, y0] = [hr[p] as number, hi[p] as number]
          hr[p] = ar * x0 - ai * y0 + gr * br - gi * bi
          hi[p] = ar * y0 + ai * x0 + gr * bi + gi * br
        }
        for (let d = 0; d < 3; d++) {
          let y = of(skip, d) * of(u, t * 3 + d)
          for (let p = 0; p < 4; p++) {
            y += 2 * (of(c, (d * 4 + p) * 2) * (hr[p] as number) - of(c, (d * 4 + p) * 2 + 1) * (hi[p] as number))
          }
          expected.push(y)
        }
      }
      expectClose(await read(mixer.forward(x).y), expected, 1e-5, 'outputs')
      mixer.dispose()
    })
  })

  test('clipped rates do not grow, whatever is learned', async () => {
    await within(async () => {
      const x = normal(new Rng(7), [1, 5, 3], 1)
      const sizes = async (clipRates: boolean): Promise<Float32Array> => {
        const mixer = new S5({ ...options, clipRates }, new Rng(8))
        mixer.lambdaRe.assign(fill([4], 2))
        mixer.logStep.assign(zeros([4]))
        const state = { hr: ones([1, 4]), hi: zeros([1, 4]) }
        const after = mixer.forward(mul(x, 0), state).state
        const [re, im] = [await read(after.hr), await read(after.hi)]
        mixer.dispose()
        return re.map((value, p) => Math.hypot(value, im[p] as number))
      }
      expectClose(await sizes(true), new Float32Array(4).fill(Math.exp(-5e-4)), 1e-5, 'clipped')
      expectClose(await sizes(false), new Float32Array(4).fill(Math.exp(10)), 1e-4, 'not clipped')
    })
  })

  test('blocks start as copies: the frequencies of a matrix of half the size, twice', async () => {
    await within(async () => {
      const mixer = new S5({ ...options, dState: 16, blocks: 2 }, new Rng(9))
      const { frequencies } = hippoNormal(8)
      expectClose(await read(mixer.lambdaIm as Tensor), [...frequencies, ...frequencies], 1e-6, 'frequencies')
      expectClose(await read(mixer.lambdaRe), await read(tensor(Array(8).fill(-0.5))), 1e-6, 'real parts')
      mixer.dispose()
    })
  })

  test('states that are no multiple of two blocks are refused', () => {
    expect(() => new S5({ ...options, dState: 6, blocks: 2 }, new Rng(0))).toThrow(/2 · blocks = 4, got 6/)
  })
})
