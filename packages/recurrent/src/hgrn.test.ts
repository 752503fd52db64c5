import { linearScan, normal, parameter, Rng, silu } from '@mneme/core-tensor'
import { read, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { fill, mul, reshape, sigmoid, slice, sub, type Tensor, tensor, unstack, zeros } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { ComplexHGRN, HGRN, type HgrnOptions } from './hgrn.js'
import { boundedGates, LowerBound, lowerBounds } from './lower-bound.js'

const D = 4
const options: HgrnOptions = { dModel: D, bound: null, convWidth: 0, normEps: 1e-6 }

describe('lower bounds', () => {
  test('of equal parameters rise in equal steps from 0', async () => {
    await within(async () => {
      expectClose(await read(lowerBounds(zeros([4, 1]))), [0, 0.25, 0.5, 0.75], 1e-6, 'bounds')
    })
  })

  test('rise with depth and stay below 1, channel by channel', async () => {
    await within(async () => {
      const [L, W] = [5, 3]
      const bounds = await read(lowerBounds(normal(new Rng(1), [L, W], 3)))
      for (let channel = 0; channel < W; channel++) {
        const column = Array.from({ length: L }, (_, layer) => bounds[layer * W + channel] as number)
        expect(column[0]).toBe(0)
        for (let layer = 1; layer < L; layer++) expect(column[layer]).toBeGreaterThan(column[layer - 1] as number)
        expect(column.at(-1)).toBeLessThan(1)
      }
    })
  })
})

/** Bound of one of so many layers: layer / layers. */
const evenly = (layers: number, layer: number) => new LowerBound(parameter(zeros([layers, D])), layer)

describe('HGRN', () => {
  /** The decays of every token, as a picture shows them. */
  async function decays(bound: LowerBound | null): Promise<Float32Array> {
    const mixer = new HGRN({ ...options, bound }, new Rng(2))
    let seen: Promise<Float32Array> | undefined
    const record = {
      record: (name: string, value: Tensor) => {
        if (name === 'decay') seen = read(value)
      },
      at: () => record,
    }
    mixer.forward(normal(new Rng(3), [2, 9, D], 30), undefined, { training: false, record })
    const values = await (seen as Promise<Float32Array>)
    mixer.dispose()
    return values
  }

  test('forgets at most down to its bound', async () => {
    await within(async () => {
      const least = await decays(evenly(5, 2))
      expect(Math.min(...least)).toBeGreaterThanOrEqual(0.4 - 1e-6)
      expect(Math.min(...(await decays(null)))).toBeLessThan(0.1)
    })
  })

  test('no gate is so open that nothing comes in: what is written keeps its digits where the gate rounds to 1', async () => {
    await within(async () => {
      const { forget, input } = boundedGates(fill([1, D], 40), evenly(5, 2))
      expectClose(await read(forget), Array(D).fill(1), 1e-6, 'kept')
      for (const share of await read(input)) expect(share / (0.6 * Math.exp(-40))).toBeCloseTo(1, 5)
    })
  })

  test('without a bound and with gates shut has no memory: h = silu(W_i x)', async () => {
    await within(async () => {
      const mixer = new HGRN({ ...options, bound: null, projection: { bias: true } }, new Rng(6))
      mixer.fProj.bias?.assign(fill([D], -200))
      const x = normal(new Rng(7), [1, 5, D], 1)
      const start = { h: fill([1, D], 1000), iTail: null, fTail: null }
      const expected = await read(silu(mixer.iProj.forward(x)))
      expectClose(await read(mixer.forward(x, start).state.h), expected.slice(-D), 1e-5, 'last state')
      mixer.dispose()
    })
  })

  test('a state outlives 1 / (1 − b) tokens, whatever they are', async () => {
    await within(async () => {
      const b = 0.75
      const mixer = new HGRN({ ...options, bound: evenly(4, 3) }, new Rng(4))
      const state = { h: fill([1, D], 1000), iTail: null, fTail: null }
      const [with1000, without] = await Promise.all(
        [state, undefined].map((s) => read(mixer.forward(normal(new Rng(5), [1, 4, D], 30), s).state.h)),
      )
      const left = (with1000 as Float32Array).map((h, i) => h - (without?.[i] as number))
      for (const h of left) expect(h).toBeGreaterThanOrEqual(1000 * b ** 4 - 0.01)
      mixer.dispose()
    })
  })
})

describe('ComplexHGRN', () => {
  test('without turning and without imaginary inputs is the real recurrence', async () => {
    await within(async () => {
      const mixer = new ComplexHGRN({ dModel: D, bound: null, normEps: 1e-6 }, new Rng(6))
      mixer.theta.assign(zeros([D]))
      // candidates come in pairs (re, im): the rows of the imaginary parts are emptied
      const real = tensor(Float32Array.from({ length: 2 * D }, (_, row) => (row % 2 === 0 ? 1 : 0)))
      mixer.inputProj.weight.assign(mul(mixer.inputProj.weight, reshape(real, [2 * D, 1])))
      mixer.inputProj.bias?.assign(mul(mixer.inputProj.bias, real))
      const x = normal(new Rng(7), [2, 12, D], 1)
      const { hr, hi } = mixer.forward(x).state
      const forget = sigmoid(mixer.lambdaProj.forward(x))
      const [c] = unstack(reshape(mixer.inputProj.forward(x), [2, 12, D, 2]), 3) as [Tensor, Tensor]
      const { h } = linearScan({ a: forget, b: mul(sub(1, forget), mul(c, sigmoid(c))) })
      expectClose(await read(hr), await read(slice(h, [0, 11, 0], [2, 1, D])), 1e-5, 'real part')
      expectClose(await read(hi), new Float32Array(2 * D), 1e-6, 'imaginary part')
      mixer.dispose()
    })
  })
})
