import { gatedLinearAttention, type Linear, normal, type RMSNorm, Rng, silu } from '@mneme/core-tensor'
import { read, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { fill, matMul, mul, ones, reshape, type Tensor, tensor, transpose } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { Retention, type RetentionOptions, retentionLogDecay } from './retention.js'
import { retentionByRows } from './retention-by-rows.js'

const D = 8
const options: RetentionOptions = {
  dModel: D,
  nHeads: 2,
  expandK: 1,
  expandV: 2,
  ropeBase: 10000,
  normEps: 1e-6,
  chunk: 4,
}

describe('decays', () => {
  test('of the first heads are 1 − 1/32, 1 − 1/64, 1 − 1/128', () => {
    expectClose(retentionLogDecay(3).map(Math.exp), [31 / 32, 63 / 64, 127 / 128], 1e-7, 'decays')
  })

  test('by hand: q = k = 1, v = 1, 0, 0 is read as 1, 31/32, (31/32)²', async () => {
    await within(async () => {
      const one = ones([1, 3, 1, 1])
      const logDecay = tensor(retentionLogDecay(1), [1, 1, 1, 1])
      const v = tensor([1, 0, 0], [1, 3, 1, 1])
      const { o } = gatedLinearAttention({ q: one, k: one, v, logDecay }, { scale: 1 })
      expectClose(await read(o), [1, 0.96875, 0.938477], 1e-6, 'reads')
    })
  })
})

describe('Retention', () => {
  test('has 2 D² + 3 D V parameters and a weight of the norm', () => {
    const mixer = new Retention(options, new Rng(1))
    expect(mixer.parameterCount()).toBe(2 * D * D + 3 * D * (2 * D) + D)
    mixer.dispose()
  })

  test('is the parallel form, scores times γ^(i−j), then values: token by token and in chunks', async () => {
    await within(async () => {
      const [T, H, K, V] = [12, 2, 4, 8]
      const make = (chunk: number) => new Retention({ ...options, ropeBase: null, chunk }, new Rng(2))
      const mixer = make(1)
      const x = normal(new Rng(3), [1, T, D], 1)
      const heads = (y: ReturnType<typeof ones>, W: number) => transpose(reshape(y, [T, H, W]), [1, 0, 2])
      const scores = matMul(heads(mixer.qProj.forward(x), K), heads(mixer.kProj.forward(x), K), false, true)
      const fades = retentionLogDecay(H).flatMap((log) =>
        Array.from({ length: T * T }, (_, n) => {
          const distance = Math.floor(n / T) - (n % T)
          return distance < 0 ? 0 : Math.exp(log * distance) / Math.sqrt(K)
        }),
      )
      const o = matMul(mul(scores, tensor(fades, [H, T, T])), heads(mixer.vProj.forward(x), V))
      const normed = reshape((mixer.gNorm as RMSNorm).forward(transpose(o, [1, 0, 2])), [1, T, H * V])
      const gate = await read(mixer.gProj.forward(x))
      const silu = tensor(
        gate.map((g) => g / (1 + Math.exp(-g))),
        [1, T, H * V],
      )
      const expected = await read(mixer.oProj.forward(mul(normed, silu)))
      for (const chunk of [1, 5, 64]) {
        expectClose(await read(make(chunk).forward(x).y), expected, 1e-5, `chunks of ${chunk}`)
      }
    })
  })

  test('without rotations is gated linear attention with one constant decay a head; with decays of 1, linear attention', async () => {
    await within(async () => {
      const x = normal(new Rng(11), [2, 9, D], 1)
      for (const logDecay of [retentionLogDecay(2), [0, 0]]) {
        const mixer = new Retention({ ...options, ropeBase: null, logDecay }, new Rng(10))
        const heads = (map: Linear): Tensor => reshape(map.forward(x), [2, 9, 2, -1])
        const qkv = { q: heads(mixer.qProj), k: heads(mixer.kProj), v: heads(mixer.vProj) }
        const decays = mul(ones([2, 9, 2, 1]), tensor(logDecay, [1, 1, 2, 1]))
        const { o } = gatedLinearAttention(logDecay[0] === 0 ? qkv : { ...qkv, logDecay: decays })
        const gated = mul(reshape((mixer.gNorm as RMSNorm).forward(o), [2, 9, -1]), silu(mixer.gProj.forward(x)))
        expectClose(await read(mixer.forward(x).y), await read(mixer.oProj.forward(gated)), 1e-5, 'outputs')
        mixer.dispose()
      }
    })
  })

  test('longer queries and keys change nothing: the norm takes them away', async () => {
    await within(async () => {
      const mixer = new Retention({ ...options, normEps: 1e-12 }, new Rng(12))
      const x = normal(new Rng(13), [1, 9, D], 1)
      const before = await read(mixer.forward(x).y)
      mixer.qProj.weight.assign(mul(mixer.qProj.weight, 30))
      mixer.kProj.weight.assign(mul(mixer.kProj.weight, 7))
      expectClose(await read(mixer.forward(x).y), before, 1e-5, 'outputs')
      mixer.dispose()
    })
  })

  test('turning depends on distances alone: a sequence that starts late gives the same', async () => {
    await within(async () => {
      const mixer = new Retention(options, new Rng(4))
      const x = normal(new Rng(5), [1, 9, D], 1)
      const late = { ...mixer.initialState(1), position: 1000 }
      expectClose(await read(mixer.forward(x, late).y), await read(mixer.forward(x).y), 2e-4, 'outputs')
      mixer.dispose()
    })
  })

  test('the state keeps its size over 10,000 tokens', async () => {
    await within(async () => {
      const mixer = new Retention(options, new Rng(6))
      const { state } = mixer.forward(fill([1, 10_000, D], 0.1))
      const memory = state.memory as Tensor
      expect(4 * memory.size).toBe(mixer.stateBytes(10_000))
      expect((await read(memory)).every(Number.isFinite)).toBe(true)
      mixer.dispose()
    })
  })
})

describe('rows of scores', () => {
  test('however they are divided, the norm behind them leaves the same', async () => {
    await within(async () => {
      const make = (rows: NonNullable<RetentionOptions['rows']>): Retention =>
        new Retention({ ...options, rows, normEps: 0 }, new Rng(1))
      const [plain, byDecays, byScores] = [make('plain'), make('by decays'), make('by scores')]
      const x = normal(new Rng(2), [2, 9, D], 1)
      const expected = await read(plain.forward(x).y)
      expectClose(await read(byDecays.forward(x).y), expected, 1e-5, 'by decays')
      expectClose(await read(byScores.forward(x).y), expected, 1e-5, 'by scores')
      for (const mixer of [plain, byDecays, byScores]) mixer.dispose()
    })
  })

  test('by hand: q = k = 1, v = 1, 1, over the root of 1 and of 1 + 31/32, then over what is more than 1', async () => {
    await within(async () => {
      const one = ones([1, 2, 1, 1])
      const sum = 1 + 31 / 32
      const o = await read(retentionByRows(one, one, one, retentionLogDecay(1)))
      expectClose(o, [1, 1], 1e-6, 'reads')
      const half = fill([1, 2, 1, 1], 0.5)
      expectClose(
        await read(retentionByRows(half, one, one, retentionLogDecay(1))),
        [0.5, Math.sqrt(sum) / 2],
        1e-6,
        'halves',
      )
    })
  })
})
