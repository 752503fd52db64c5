import { gatedLinearAttention, linearScan, normal, parameter, Rng, silu, tokenAt } from '@mneme/core-tensor'
import { read, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import {
  exp,
  expandDims,
  expm1,
  log,
  mul,
  neg,
  ones,
  reshape,
  sigmoid,
  sub,
  type Tensor,
  tensor,
  zeros,
} from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { HGRN } from './hgrn.js'
import { HGRN2, type Hgrn2Options } from './hgrn2.js'
import { boundedLogForget, LowerBound } from './lower-bound.js'

const D = 8
const options: Hgrn2Options = { dModel: D, expansion: 4, bound: null, convWidth: 0, normEps: 1e-5, chunk: 4 }

describe('boundedLogForget', () => {
  const bound = () => new LowerBound(parameter(zeros([4, 3])), 1) // 1/4

  test('is the logarithm of b + (1 − b) σ(x), to its last digits where the gate is open and where it is shut', async () => {
    await within(async () => {
      const x = [-200, -5, 0, 5, 18]
      const exact = (b: number) => x.map((v) => Math.log1p((1 - b) * (1 / (1 + Math.exp(-v)) - 1)))
      // at 18 the decay differs from 1 by 1.5e-8
      const near = (1 - 0.25) * (Math.exp(-18) / (1 + Math.exp(-18)))
      const bounded = await read(
        boundedLogForget(
          tensor(
            x.flatMap((v) => [v, v, v]),
            [1, 5, 3],
          ),
          bound(),
        ),
      )
      for (let i = 0; i < 4; i++) expect(bounded[3 * i]).toBeCloseTo(exact(0.25)[i] as number, 5)
      expect((bounded[12] as number) / -near).toBeCloseTo(1, 4)
      const free = await read(boundedLogForget(tensor(x), null))
      expect(free[0]).toBeCloseTo(-200, 3)
      expect((free[4] as number) / -Math.exp(-18)).toBeCloseTo(1, 4)
    })
  })
})

describe('HGRN2', () => {
  test('has 4 D² + D parameters, whatever the expansion, and state in proportion to it', () => {
    for (const expansion of [1, 2, 8]) {
      const mixer = new HGRN2({ ...options, expansion }, new Rng(1))
      expect(mixer.parameterCount()).toBe(4 * D * D + D)
      expect(mixer.stateBytes()).toBe(4 * D * expansion)
      mixer.dispose()
    }
  })

  test('by hand: gates half open, values 1: states 1/2, 3/4', async () => {
    await within(async () => {
      const mixer = new HGRN2({ ...options, dModel: 1, expansion: 1 }, new Rng(1))
      mixer.fProj.weight.assign(zeros([1, 1]))
      mixer.iProj.weight.assign(ones([1, 1]))
      const first = mixer.forward(ones([1, 1, 1])).state
      const second = mixer.forward(ones([1, 1, 1]), first).state
      expectClose(await read(first.memory), [0.5], 1e-6, 'after one token')
      expectClose(await read(second.memory), [0.75], 1e-6, 'after two')
      mixer.dispose()
    })
  })

  test('is gated linear attention with k = 1 − f', async () => {
    await within(async () => {
      const mixer = new HGRN2(options, new Rng(2))
      const x = normal(new Rng(3), [2, 17, D], 1)
      const heads = (y: Parameters<typeof reshape>[0]) => reshape(y, [2, 17, 2, 4])
      const logDecay = boundedLogForget(mixer.fProj.forward(x), null)
      expectClose(
        await read(exp(logDecay)),
        (await read(neg(expm1(logDecay)))).map((k) => 1 - k),
        1e-5,
        'k + f',
      )
      const { o, state } = gatedLinearAttention({
        q: heads(silu(mixer.qProj.forward(x))),
        k: heads(neg(expm1(logDecay))),
        v: heads(mixer.iProj.forward(x)),
        logDecay: heads(logDecay),
      })
      const expected = mixer.oProj.forward(mixer.gNorm.forward(reshape(o, [2, 17, D])))
      const actual = mixer.forward(x)
      expectClose(await read(actual.y), await read(expected), 1e-5, 'outputs')
      expectClose(await read(actual.state.memory), await read(state), 1e-5, 'memory')
      mixer.dispose()
    })
  })

  test('with keys of one channel and queries of 1 is HGRN, but for what follows the recurrence', async () => {
    await within(async () => {
      const sizes = { dModel: D, bound: null, convWidth: 0, normEps: 1e-5 }
      const one = new HGRN(sizes, new Rng(4))
      const two = new HGRN2({ ...sizes, expansion: 1, chunk: 4 }, new Rng(5))
      two.fProj.weight.assign(one.fProj.weight)
      const x = normal(new Rng(6), [2, 17, D], 1)
      const f = one.fProj.forward(x)
      const forget = sigmoid(f)
      const v = silu(one.iProj.forward(x))
      const column = (y: Tensor): Tensor => expandDims(y, 3)
      const { o, state } = gatedLinearAttention({
        q: ones([2, 17, D, 1]),
        k: column(neg(expm1(boundedLogForget(f, null)))),
        v: column(v),
        logDecay: column(log(forget)),
      })
      const { state: after } = one.forward(x)
      expectClose(await read(state), await read(after.h), 1e-5, 'state')
      expectClose((await read(o)).slice(-D), (await read(after.h)).slice(-D), 1e-5, 'last read')
      // the mixer itself: its gates are HGRN's, and what it stores is the input without SiLU
      two.iProj.weight.assign(one.iProj.weight)
      const stored = linearScan({ a: forget, b: mul(sub(1, forget), two.iProj.forward(x)), h0: zeros([2, D]) }).h
      const { state: memory } = two.forward(x)
      expectClose(await read(memory.memory), await read(tokenAt(stored, 16)), 1e-5, 'memory')
      for (const mixer of [one, two]) mixer.dispose()
    })
  })
})
