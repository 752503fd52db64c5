import { gatedLinearAttention, normal, normalInit, Rng } from '@mneme/core-tensor'
import { read, span, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { fill, mul, ones, sigmoid, type Tensor, zeros } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { GLA, type GlaOptions } from './gated-linear-attention.js'

const options: GlaOptions = {
  dModel: 8,
  nHeads: 4,
  nKvHeads: 4,
  expandK: 0.5,
  expandV: 1,
  gateRank: 3,
  gateTemperature: 16,
  minLogDecay: null,
  convWidth: 0,
  featureMap: null,
  outputGate: true,
  normEps: 1e-6,
  chunk: 8,
  projection: { bias: false, init: normalInit(0.8) },
}

describe('gated linear attention', () => {
  const sizes = [2, 19, 2, 4] as const
  const heads = (seed: number): { q: Tensor; k: Tensor; v: Tensor } => {
    const rng = new Rng(seed)
    return { q: normal(rng, [...sizes], 1), k: normal(rng, [...sizes], 1), v: normal(rng, [...sizes], 1) }
  }

  test('a decay of 1 is linear attention', async () => {
    await within(async () => {
      const inputs = heads(1)
      const open = gatedLinearAttention({ ...inputs, logDecay: zeros([...sizes]) }, { chunk: 4 })
      const plain = gatedLinearAttention(inputs, { chunk: 4 })
      expectClose(await read(open.o), await read(plain.o), 1e-6, 'outputs')
      expectClose(await read(open.state), await read(plain.state), 1e-6, 'state')
    })
  })

  test('one decay for all channels is simple gated linear attention', async () => {
    await within(async () => {
      const inputs = heads(2)
      const one = mul(sigmoid(normal(new Rng(3), [2, 19, 2, 1], 2)), -1)
      const all = gatedLinearAttention({ ...inputs, logDecay: mul(one, ones([1, 1, 1, 4])) })
      const simple = gatedLinearAttention({ ...inputs, logDecay: one })
      expectClose(await read(all.o), await read(simple.o), 1e-5, 'outputs')
      expectClose(await read(all.state), await read(simple.state), 1e-5, 'state')
    })
  })
})

describe('GLA', () => {
  test('the chunk changes no result', async () => {
    await within(async () => {
      const x = normal(new Rng(4), [2, 21, 8], 1)
      const run = async (chunk: number) => read(new GLA({ ...options, chunk }, new Rng(1)).forward(x).y)
      const one = await run(1)
      for (const chunk of [2, 7, 21, 64]) expectClose(await run(chunk), one, 1e-5, `chunk ${chunk}`)
    })
  })

  test('log decay = ln sigmoid(gate) / τ, never below its bound', async () => {
    await within(async () => {
      const seen: Tensor[] = []
      const record = {
        record: (name: string, x: Tensor) => void (name === 'logDecay' && seen.push(x)),
        at: () => record,
      }
      const x = normal(new Rng(5), [1, 30, 8], 2)
      const mixers = [null, -0.05].map((minLogDecay) => new GLA({ ...options, minLogDecay }, new Rng(2)))
      for (const mixer of mixers) mixer.forward(x, undefined, { training: false, record })
      const { gkProj } = mixers[0] as GLA
      const gate = await read(gkProj[1].forward(gkProj[0].forward(x)))
      const expected = gate.map((g) => -Math.log1p(Math.exp(-g)) / 16)
      expect(Math.min(...expected)).toBeLessThan(-0.05)
      expectClose(await read(seen[0] as Tensor), expected, 1e-5, 'log decay')
      expectClose(
        await read(seen[1] as Tensor),
        expected.map((g) => Math.max(g, -0.05)),
        1e-5,
        'bounded',
      )
    })
  })

  test('a key head serves its query heads in a row: as heads that are each repeated', async () => {
    await within(async () => {
      const shared = new GLA({ ...options, nKvHeads: 2 }, new Rng(3))
      const apart = new GLA(options, new Rng(4))
      const weights = await shared.stateDict()
      // keys have 1 channel a head, values 2
      const repeat = (name: string, rows: number) => {
        const { shape, values } = weights[name] as { shape: readonly number[]; values: Float32Array }
        const block = (values.length / (shape[0] as number)) * rows
        const twice = Float32Array.from({ length: 2 * values.length }, (_, n) => {
          return values[Math.floor(n / (2 * block)) * block + (n % block)] as number
        })
        return [name, { shape: [2 * (shape[0] as number), ...shape.slice(1)], values: twice }] as const
      }
      apart.loadStateDict({
        ...weights,
        ...Object.fromEntries([
          repeat('kProj.weight', 1),
          repeat('vProj.weight', 2),
          repeat('gkProj.1.weight', 1),
          repeat('gkProj.1.bias', 1),
        ]),
      })
      const x = normal(new Rng(6), [2, 9, 8], 1)
      expectClose(await read(shared.forward(x).y), await read(apart.forward(x).y), 1e-5, 'heads')
    })
  })

  test('a gate that is shut leaves each token to itself', async () => {
    await within(async () => {
      const mixer = new GLA({ ...options, gateTemperature: 1 }, new Rng(5))
      mixer.gkProj[1].weight.assign(zeros([4, 3]))
      mixer.gkProj[1].bias?.assign(fill([4], -200))
      const x = normal(new Rng(7), [1, 6, 8], 1)
      const { y } = mixer.forward(x)
      for (let t = 0; t < 6; t++) {
        const alone = await read(mixer.forward(span(x, t, 1)).y)
        expectClose(await read(span(y, t, 1)), alone, 1e-5, `token ${t}`)
      }
    })
  })

  test('key heads that do not divide query heads, and widths that do not divide, are refused', () => {
    expect(() => new GLA({ ...options, nKvHeads: 3 }, new Rng(0))).toThrow(/multiple of nKvHeads = 3, got 4/)
    expect(() => new GLA({ ...options, expandK: 0.8 }, new Rng(0))).toThrow(/GLA expandK: expected .* got 6/)
  })
})
