import { normal, Rng } from '@mneme/core-tensor'
import { read, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { concat, fill, mul, slice, type Tensor, zeros } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { SRU } from './sru.js'

const D = 4
const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x))
const biases = (forget: number, reset: number): Tensor => concat([fill([D], forget), fill([D], reset)])

describe('SRU', () => {
  test('has 3 D² + 2 D parameters: without those that let gates see the cell', () => {
    const mixer = new SRU({ dModel: D, activation: 'none', highwayBias: 0, peephole: false }, new Rng(1))
    expect(mixer.parameterCount()).toBe(3 * D * D + 2 * D)
    mixer.dispose()
  })

  test('the scan is the loop', async () => {
    await within(async () => {
      const T = 30
      const mixer = new SRU({ dModel: D, activation: 'tanh', highwayBias: -0.5, peephole: false }, new Rng(2))
      const x = normal(new Rng(3), [1, T, D], 1)
      const [values, parts, bias] = await Promise.all([x, mixer.projection.forward(x), mixer.bias].map(read))
      const c = new Array(D).fill(0) as number[]
      const expected: number[] = []
      for (let t = 0; t < T; t++) {
        for (let d = 0; d < D; d++) {
          const part = (p: number): number => parts?.[(t * 3 + p) * D + d] as number
          const f = sigmoid(part(1) + (bias?.[d] as number))
          const r = sigmoid(part(2) + (bias?.[D + d] as number))
          const cell = f * (c[d] as number) + (1 - f) * part(0)
          c[d] = cell
          const highway = Math.sqrt(1 + 2 * Math.exp(-0.5)) * (values?.[t * D + d] as number)
          expected.push(r * Math.tanh(cell) + (1 - r) * highway)
        }
      }
      expectClose(await read(mixer.forward(x).y), expected, 1e-5, 'outputs')
      mixer.dispose()
    })
  })

  test('has 2 D more with peepholes, and with those at 0 is the same', async () => {
    await within(async () => {
      const seen = new SRU({ dModel: D, activation: 'tanh', highwayBias: -0.5, peephole: true }, new Rng(2))
      const alone = new SRU({ dModel: D, activation: 'tanh', highwayBias: -0.5, peephole: false }, new Rng(2))
      expect(seen.parameterCount()).toBe(3 * D * D + 4 * D)
      seen.peepholes?.assign(zeros([2 * D]))
      const x = normal(new Rng(9), [2, 17, D], 1)
      expectClose(await read(seen.forward(x).y), await read(alone.forward(x).y), 1e-6, 'outputs')
      for (const mixer of [seen, alone]) mixer.dispose()
    })
  })

  test('with the forget gate at 0 and the reset gate at 1, y = u', async () => {
    await within(async () => {
      const mixer = new SRU({ dModel: D, activation: 'none', highwayBias: 0, peephole: false }, new Rng(4))
      mixer.bias.assign(biases(-200, 200))
      const x = normal(new Rng(5), [2, 9, D], 1)
      const u = slice(mixer.projection.forward(x), [0, 0, 0], [2, 9, D])
      expectClose(await read(mixer.forward(x, normal(new Rng(6), [2, D], 1)).y), await read(u), 1e-6, 'outputs')
      mixer.dispose()
    })
  })

  test('with the reset gate at 0 the input goes by, √3 as large at a bias of 0', async () => {
    await within(async () => {
      const mixer = new SRU({ dModel: D, activation: 'none', highwayBias: 0, peephole: false }, new Rng(7))
      mixer.bias.assign(biases(0, -200))
      const x = normal(new Rng(8), [2, 9, D], 1)
      expectClose(await read(mixer.forward(x).y), await read(mul(x, Math.sqrt(3))), 1e-6, 'outputs')
      mixer.dispose()
    })
  })
})
