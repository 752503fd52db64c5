import { gatedLinearAttention, mlstm, normal, normalisedLinearAttention, Rng } from '@mneme/core-tensor'
import { read, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { abs, add, exp, expandDims, fill, mul, ones, type Tensor, tensor, zeros } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { MLSTM, type MlstmOptions } from './mlstm.js'

const options: MlstmOptions = {
  dModel: 8,
  nHeads: 2,
  expandK: 0.5,
  expandV: 1,
  gateCap: 15,
  inputGateBias: -10,
  eps: 1e-6,
  normEps: 1e-6,
  chunk: 4,
}

describe('the cell', () => {
  test('by hand: q = k = v = 1, input gate 1, forget gate 1/2: C = n = 1, 3/2 and h = 1, 1', async () => {
    await within(async () => {
      const one = ones([1, 2, 1, 1])
      const gates = { inputGate: zeros([1, 2, 1]), forgetGate: zeros([1, 2, 1]) }
      const { h, C, n, m } = mlstm({ q: one, k: one, v: one, ...gates })
      const scale = exp(m)
      expectClose(await read(h), [1, 1], 1e-5, 'h')
      expectClose(await read(mul(C, scale)), [1.5], 1e-5, 'C e^m')
      expectClose(await read(mul(n, scale)), [1.5], 1e-5, 'n e^m')
    })
  })

  test('its memory is that of gated linear attention: decay σ(f), keys times e^i', async () => {
    await within(async () => {
      const [T, H, K, V] = [19, 2, 3, 5]
      const rng = new Rng(1)
      const [q, k] = [normal(rng, [1, T, H, K], 1), normal(rng, [1, T, H, K], 1)]
      const v = normal(rng, [1, T, H, V], 1)
      const [inputGate, forgetGate] = [normal(rng, [1, T, H], 1), normal(rng, [1, T, H], 1)]
      const { C, m } = mlstm({ q, k, v, inputGate, forgetGate })
      const f = await read(forgetGate)
      const logDecay = tensor(
        f.map((x) => -Math.log1p(Math.exp(-x))),
        [1, T, H, 1],
      )
      const { state } = gatedLinearAttention({ q, k: mul(k, expandDims(exp(inputGate), 3)), v, logDecay })
      expectClose(await read(mul(C, expandDims(expandDims(exp(m), 2), 3))), await read(state), 1e-5, 'memory')
    })
  })
})

describe('the readout', () => {
  const [T, H, K, V] = [17, 2, 3, 4]
  /** Products of queries and keys are positive, and their sums far above the floor of 1. */
  function tokens(forget: number) {
    const rng = new Rng(2)
    const positive = (): Tensor => add(abs(normal(rng, [1, T, H, K], 1)), 2)
    const [q, k, v] = [positive(), positive(), normal(rng, [1, T, H, V], 1)]
    return { q, k, v, inputGate: normal(rng, [1, T, H], 1), forgetGate: fill([1, T, H], forget) }
  }

  test('the same on every input gate changes nothing where the denominator is above its floor', async () => {
    await within(async () => {
      const given = tokens(1)
      const moved = mlstm({ ...given, inputGate: add(given.inputGate, 9) })
      const { h } = mlstm({ ...given, inputGate: add(given.inputGate, 4) })
      expectClose(await read(moved.h), await read(h), 1e-5, 'reads')
    })
  })

  test('with one input gate for all and nothing forgotten is normalised linear attention', async () => {
    await within(async () => {
      const { q, k, v, forgetGate } = tokens(80)
      const { h } = mlstm({ q, k, v, inputGate: zeros([1, T, H]), forgetGate })
      const { o } = normalisedLinearAttention({ q, k, v }, { scale: 1, eps: 0 })
      expectClose(await read(h), await read(o), 1e-5, 'reads')
    })
  })
})

describe('MLSTM', () => {
  test('gates start the same for every token, from 3 to 6 over the heads', async () => {
    await within(async () => {
      const mixer = new MLSTM({ ...options, nHeads: 4 }, new Rng(2))
      const x = normal(new Rng(3), [1, 2, 8], 1)
      const forget = await read(mixer.forgetGate.forward(x))
      expectClose(forget, [3, 4, 5, 6, 3, 4, 5, 6], 1e-6, 'forget gates')
      expectClose(await read(mixer.inputGate.forward(x)), Array(8).fill(-10), 1e-6, 'input gates')
      mixer.dispose()
    })
  })

  test('stays finite over 10,000 tokens at the largest gates', async () => {
    await within(async () => {
      const mixer = new MLSTM(options, new Rng(4))
      mixer.inputGate.bias?.assign(fill([2], 1000))
      mixer.forgetGate.bias?.assign(fill([2], 1000))
      const { y, state } = mixer.forward(fill([1, 10_000, 8], 0.3))
      expect((await read(y)).every(Number.isFinite)).toBe(true)
      expect(4 * (state.C.size + state.n.size + state.m.size)).toBe(mixer.stateBytes())
      mixer.dispose()
    })
  })
})
