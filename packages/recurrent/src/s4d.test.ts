import { normal, Rng } from '@mneme/core-tensor'
import { read, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { add, type Tensor, tensor } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { S4D, type S4dOptions } from './s4d.js'

const options: S4dOptions = { dModel: 3, dState: 8, frequencies: 'lin', mixing: 'none' }
const [D, pairs, T] = [3, 4, 50]

/** Kernel of a diagonal state space as exponentials: `2 Re Σ_n c_n (e^{Δλ_n} − 1) / λ_n e^{λ_n Δ l}`, in float64. */
async function exponentials(mixer: S4D, length: number): Promise<Float64Array> {
  const [logA, aIm, c, logStep] = (await Promise.all(
    [mixer.logARe, mixer.aIm, mixer.c, mixer.logStep].map(read),
  )) as Float32Array[]
  const of = (values: Float32Array | undefined, i: number): number => values?.[i] as number
  const kernel = new Float64Array(D * length)
  for (let d = 0; d < D; d++) {
    const step = Math.exp(of(logStep, d))
    for (let p = 0; p < pairs; p++) {
      const n = d * pairs + p
      const [re, im] = [-Math.exp(of(logA, n)), of(aIm, n)]
      const [er, ei] = [Math.exp(re * step) * Math.cos(im * step) - 1, Math.exp(re * step) * Math.sin(im * step)]
      const size = re * re + im * im
      const [gr, gi] = [(er * re + ei * im) / size, (ei * re - er * im) / size]
      const [cr, ci] = [of(c, 2 * n) * gr - of(c, 2 * n + 1) * gi, of(c, 2 * n) * gi + of(c, 2 * n + 1) * gr]
      for (let l = 0; l < length; l++) {
        const [wr, wi] = [Math.cos(im * step * l), Math.sin(im * step * l)]
        const at = d * length + l
        kernel[at] = (kernel[at] as number) + 2 * Math.exp(re * step * l) * (cr * wr - ci * wi)
      }
    }
  }
  return kernel
}

/** Steps large enough to see decay and waves within a few tokens. */
function coarse(seed: number): S4D {
  const mixer = new S4D(options, new Rng(seed))
  mixer.logStep.assign(add(mixer.logStep, 2))
  return mixer
}

describe('S4D', () => {
  test('the kernel is that of a diagonal state space as exponentials', async () => {
    await within(async () => {
      const mixer = coarse(1)
      expectClose(await read(mixer.kernel(T)), await exponentials(mixer, T), 1e-5, 'kernel')
      mixer.dispose()
    })
  })

  test('recurrence = convolution with the kernel, plus D u', async () => {
    await within(async () => {
      const mixer = coarse(2)
      const x = normal(new Rng(3), [2, T, D], 1)
      const [u, kernel, skip] = [await read(x), await exponentials(mixer, T), await read(mixer.skip)]
      const expected = Float64Array.from(u, (value, i) => {
        const [row, t, d] = [Math.floor(i / (T * D)), Math.floor(i / D) % T, i % D]
        let y = (skip[d] as number) * value
        for (let s = 0; s <= t; s++) y += (kernel[d * T + t - s] as number) * (u[(row * T + s) * D + d] as number)
        return y
      })
      expectClose(await read(mixer.forward(x).y), expected, 1e-5, 'outputs')
      mixer.dispose()
    })
  })

  test('an impulse comes out as the kernel', async () => {
    await within(async () => {
      const mixer = coarse(4)
      const impulse = await read(mixer.forward(unitImpulse()).y)
      const [kernel, skip] = [await read(mixer.kernel(T)), await read(mixer.skip)]
      const expected = impulse.map((_, i) => {
        const [t, d] = [Math.floor(i / D), i % D]
        return (kernel[d * T + t] as number) + (t === 0 ? (skip[d] as number) : 0)
      })
      expectClose(impulse, expected, 1e-5, 'outputs')
      mixer.dispose()
    })
  })

  test('steps twice as long: sums of two neighbours of the kernel, which keeps its shape', async () => {
    await within(async () => {
      const mixer = coarse(5)
      const fine = await read(mixer.kernel(2 * T))
      mixer.logStep.assign(add(mixer.logStep, Math.LN2))
      const expected = Float32Array.from({ length: D * T }, (_, i) => {
        const at = Math.floor(i / T) * 2 * T + 2 * (i % T)
        return (fine[at] as number) + (fine[at + 1] as number)
      })
      expectClose(await read(mixer.kernel(T)), expected, 1e-4, 'kernel')
      mixer.dispose()
    })
  })

  test('every wave decays: the state of an impulse fades, however A is learned', async () => {
    await within(async () => {
      const mixer = coarse(6)
      mixer.logARe.assign(normal(new Rng(7), [D, pairs], 3))
      const { hr, hi } = mixer.forward(unitImpulse()).state
      const first = mixer.forward(normal(new Rng(8), [1, 1, D], 0), { hr, hi }).state
      const [before, after] = [await sizes(hr, hi), await sizes(first.hr, first.hi)]
      for (const [n, size] of after.entries()) expect(size).toBeLessThanOrEqual(before[n] as number)
      expect(after.some((size, n) => size > 0 && size < (before[n] as number))).toBe(true)
      mixer.dispose()
    })
  })

  test('starts: real parts −1/2, frequencies πn or inverse, steps in [0.001, 0.1]', async () => {
    await within(async () => {
      const mixer = new S4D({ ...options, dModel: 60 }, new Rng(9))
      const inverse = new S4D({ ...options, frequencies: 'inv' }, new Rng(10))
      expectClose(await read(mixer.logARe), new Float32Array(240).fill(Math.log(0.5)), 1e-6, 'real parts')
      expectClose(
        (await read(mixer.aIm)).subarray(0, 4),
        [0, 1, 2, 3].map((n) => Math.PI * n),
        1e-6,
        'lin',
      )
      const inv = [7, 8 / 3 - 1, 8 / 5 - 1, 8 / 7 - 1].map((v) => (8 / Math.PI) * v)
      expectClose((await read(inverse.aIm)).subarray(0, 4), inv, 1e-6, 'inv')
      const steps = (await read(mixer.logStep)).map(Math.exp)
      expect(Math.min(...steps)).toBeGreaterThanOrEqual(0.00099)
      expect(Math.max(...steps)).toBeLessThanOrEqual(0.1001)
      mixer.dispose()
      inverse.dispose()
    })
  })

  test('an odd number of states is refused', () => {
    expect(() => new S4D({ ...options, dState: 5 }, new Rng(0))).toThrow(/even number, got 5/)
  })
})

/** 1 at the first token of every channel. */
function unitImpulse(): Tensor {
  return tensor(
    Float32Array.from({ length: T * D }, (_, i) => (i < D ? 1 : 0)),
    [1, T, D],
  )
}

async function sizes(re: Tensor, im: Tensor): Promise<number[]> {
  const [res, ims] = [await read(re), await read(im)]
  return Array.from(res, (value, n) => Math.hypot(value, ims[n] as number))
}
