import { normal, normalInit, Rng, softmaxAttention } from '@mneme/core-tensor'
import { read, span, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { add, fill, mul, ones, reshape, sigmoid, type Tensor, tensor, tensor1d, zeros } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { ForgettingAttention, type ForgettingAttentionOptions } from './forgetting-attention.js'
import { SoftmaxAttention } from './softmax-attention.js'

const D = 8
const options: ForgettingAttentionOptions = {
  dModel: D,
  nHeads: 2,
  nKvHeads: 2,
  dHead: 4,
  gate: { from: 'token' },
  rotary: null,
  qkNormEps: null,
  kvShift: false,
  outputNormEps: null,
  outputGate: false,
  projection: { bias: false, init: normalInit(0.6) },
}
const pro = { qkNormEps: 1e-6, kvShift: true, outputNormEps: 1e-6, outputGate: true }

describe('ForgettingAttention', () => {
  test('gates at one: softmax attention without positions', async () => {
    await within(async () => {
      const forgetting = new ForgettingAttention(options, new Rng(1))
      forgetting.fProj?.weight.assign(zeros([2, D]))
      forgetting.fProj?.bias?.assign(fill([2], 50))
      const plain = new SoftmaxAttention({ ...options, window: 0 }, new Rng(2))
      plain.loadStateDict(await forgetting.stateDict(), { strict: false })
      const x = normal(new Rng(3), [2, 17, D], 1)
      expectClose(await read(forgetting.forward(x).y), await read(plain.forward(x).y), 1e-5, 'outputs')
    })
  })

  test('gates of e^(-slope) in every token: linear biases of that slope', async () => {
    await within(async () => {
      const mixer = new ForgettingAttention(
        { ...options, gate: { from: 'fixed', shortest: 2, longest: 8 } },
        new Rng(4),
      )
      const x = normal(new Rng(5), [1, 11, D], 1)
      const heads = (y: Tensor): Tensor => reshape(y, [1, 11, 2, 4])
      const [q, k, v] = [mixer.qProj, mixer.kProj, mixer.vProj].map((p) => heads(p.forward(x))) as [
        Tensor,
        Tensor,
        Tensor,
      ]
      const { o } = softmaxAttention({ q, k, v, slopes: tensor1d([1 / 2, 1 / 8]) })
      const expected = mixer.oProj.forward(reshape(o, [1, 11, D]))
      expectClose(await read(mixer.forward(x).y), await read(expected), 1e-5, 'outputs')
    })
  })

  test('q·k = 0, v = (1, 3), f = (·, 1/2): weights 1/3 and 2/3, the second output 7/3', async () => {
    await within(async () => {
      const at = (...values: number[]): Tensor => tensor(values, [1, 2, 1, 1])
      const logForget = tensor([Math.log(0.9), Math.log(0.5)], [1, 2, 1])
      const { o } = softmaxAttention({ q: at(0, 0), k: at(1, 1), v: at(1, 3), logForget })
      expectClose(await read(o), [1, 7 / 3], 1e-6, 'outputs')
    })
  })

  test('learned gates start at lengths evenly spaced on a logarithmic scale', async () => {
    await within(async () => {
      const wide = { dModel: D, nHeads: 4, nKvHeads: 4, dHead: 2 }
      const gate = { from: 'learned', shortest: 1, longest: 64 } as const
      const mixer = new ForgettingAttention({ ...options, ...wide, gate }, new Rng(6))
      const gates = await read(sigmoid(mixer.fBias as Tensor))
      expectClose(
        gates.map((f) => -1 / Math.log(f)),
        [1, 4, 16, 64],
        1e-4,
        'lengths',
      )
    })
  })

  test('a shift of all keys and values reads the token before, of the unshifted projection; the first reads nothing', async () => {
    await within(async () => {
      const mixer = new ForgettingAttention({ ...options, kvShift: true }, new Rng(7))
      // a token shifts wholly where its first feature is 1
      const wholly = tensor(
        Float32Array.from({ length: 2 * D }, (_, n) => (n % D === 0 ? 60 : 0)),
        [2, D],
      )
      mixer.kShift?.weight.assign(wholly)
      mixer.vShift?.weight.assign(wholly)
      const first = tensor(
        Float32Array.from({ length: D }, (_, n) => (n === 0 ? 0 : 1)),
        [1, 1, D],
      )
      const x = mul(normal(new Rng(8), [1, 5, D], 1), first)
      const shifting = tensor(
        Float32Array.from({ length: 5 * D }, (_, n) => (n % D === 0 ? 1 : 0)),
        [1, 5, D],
      )
      const marked = add(x, shifting)
      const { cache } = mixer.forward(marked).state
      const values = await read(cache.values as Tensor)
      const projected = await read(mixer.vProj.forward(marked))
      expectClose(values.slice(0, D), new Float32Array(D), 1e-6, 'first')
      expectClose(values.slice(D), projected.slice(0, 4 * D), 1e-5, 'later')
    })
  })

  test('normalised queries and keys: longer projections change nothing', async () => {
    await within(async () => {
      const mixer = new ForgettingAttention({ ...options, ...pro }, new Rng(9))
      const x = normal(new Rng(10), [1, 7, D], 1)
      const before = await read(mixer.forward(x).y)
      for (const proj of [mixer.qProj, mixer.kProj]) proj.weight.assign(mul(proj.weight, 7))
      expectClose(await read(mixer.forward(x).y), before, 1e-4, 'outputs')
    })
  })

  test('a diagonal without decay: one token alone is as if nothing were forgotten', async () => {
    await within(async () => {
      const mixer = new ForgettingAttention(options, new Rng(11))
      const x = normal(new Rng(12), [1, 4, D], 1)
      const alone = span(x, 2, 1)
      const before = await read(mixer.forward(alone).y)
      mixer.fProj?.bias?.assign(fill([2], -40))
      // and with every gate shut, each token is alone
      expectClose(await read(mixer.forward(alone).y), before, 1e-6, 'alone')
      expectClose(await read(span(mixer.forward(x).y, 2, 1)), before, 1e-5, 'among others')
    })
  })

  test('Pro: 5 D² + 3 D H + H + 3 D values', () => {
    const mixer = new ForgettingAttention({ ...options, ...pro }, new Rng(0))
    expect(mixer.parameterCount()).toBe(5 * D * D + 3 * D * 2 + 2 + 3 * D)
    mixer.dispose()
  })

  test('query heads that key heads do not divide are refused', () => {
    expect(() => new ForgettingAttention({ ...options, nKvHeads: 3 }, new Rng(0))).toThrow(/nKvHeads = 3, got 2/)
  })

  test('equal values come out as they are, whatever is forgotten', async () => {
    await within(async () => {
      const rng = new Rng(13)
      const [q, k] = [normal(rng, [1, 9, 2, 3], 1), normal(rng, [1, 9, 2, 3], 1)]
      const logForget = mul(sigmoid(normal(rng, [1, 9, 2], 3)), -5)
      const { o } = softmaxAttention({ q, k, v: ones([1, 9, 2, 2]), logForget })
      expectClose(await read(o), new Float32Array(36).fill(1), 1e-5, 'outputs')
    })
  })
})
