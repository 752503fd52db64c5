import { eluPlusOne, type Linear, normal, normalInit, normalisedLinearAttention, Rng } from '@mneme/core-tensor'
import { read, span, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { concat, reshape, type Tensor, zeros } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { InfiniAttention, type InfiniAttentionOptions } from './infini-attention.js'
import { SoftmaxAttention } from './softmax-attention.js'

const D = 8
const options: InfiniAttentionOptions = {
  dModel: D,
  nHeads: 2,
  dHead: 4,
  segment: 6,
  deltaRule: false,
  rotary: { dims: 4, layout: 'interleaved' },
  gateOn: 'memory',
  gateFirst: true,
  gateInit: 0,
  projection: { bias: false, init: normalInit(0.6) },
}

/** Plain attention with the same weights, each segment by itself. */
async function local(mixer: InfiniAttention, x: Tensor): Promise<Tensor> {
  const plain = new SoftmaxAttention(
    { ...options, nKvHeads: 2, window: 0, rotary: { dims: 4, layout: 'interleaved' } },
    new Rng(9),
  )
  plain.loadStateDict(await mixer.stateDict(), { strict: false })
  const T = x.shape[1] as number
  const pieces: Tensor[] = []
  for (let t = 0; t < T; t += 6) pieces.push(plain.forward(span(x, t, Math.min(6, T - t))).y)
  return concat(pieces, 1)
}

describe('InfiniAttention', () => {
  test('a gate that shuts the memory: attention within each segment', async () => {
    await within(async () => {
      const mixer = new InfiniAttention({ ...options, gateInit: -50 }, new Rng(1))
      const x = normal(new Rng(2), [2, 20, D], 1)
      expectClose(await read(mixer.forward(x).y), await read(await local(mixer, x)), 1e-5, 'outputs')
    })
  })

  test('a gate that shuts the segment: linear attention over all segments before', async () => {
    await within(async () => {
      const mixer = new InfiniAttention({ ...options, gateInit: 50 }, new Rng(3))
      const x = normal(new Rng(4), [1, 18, D], 1)
      const { y } = mixer.forward(x)
      expectClose(await read(span(y, 0, 6)), new Float32Array(6 * D), 1e-6, 'first segment')
      const heads = (proj: Linear, begin: number, size: number): Tensor =>
        reshape(proj.forward(span(x, begin, size)), [1, size, 2, 4])
      // what linear attention gives the last token of each segment before, asked by this segment's queries
      for (const t of [6, 13]) {
        const past = 6 * Math.floor(t / 6)
        const q = eluPlusOne(heads(mixer.qProj, t, 1))
        const k = eluPlusOne(heads(mixer.kProj, 0, past))
        const queries = past === 1 ? q : concat([zeros([1, past - 1, 2, 4]), q], 1)
        const { o } = normalisedLinearAttention({ q: queries, k, v: heads(mixer.vProj, 0, past) }, { scale: 1 })
        const expected = mixer.oProj.forward(reshape(span(o, past - 1, 1), [1, 1, D]))
        expectClose(await read(span(y, t, 1)), await read(expected), 1e-5, `token ${t}`)
      }
    })
  })

  test('within the first segment: (1 − σ(g)) of local attention, or all of it where it is not gated', async () => {
    await within(async () => {
      const x = normal(new Rng(5), [1, 6, D], 1)
      const gated = new InfiniAttention({ ...options, gateInit: 1 }, new Rng(6))
      const open = new InfiniAttention({ ...options, gateInit: 1, gateFirst: false }, new Rng(6))
      const expected = await read(await local(gated, x))
      const share = 1 - 1 / (1 + Math.exp(-1))
      expectClose(
        await read(gated.forward(x).y),
        expected.map((v) => share * v),
        1e-5,
        'gated',
      )
      expectClose(await read(open.forward(x).y), expected, 1e-5, 'not gated')
    })
  })

  test('the gate at the local side is the gate at the memory, turned around', async () => {
    await within(async () => {
      const x = normal(new Rng(7), [1, 15, D], 1)
      const [a, b] = [
        new InfiniAttention({ ...options, gateInit: 0.7 }, new Rng(8)),
        new InfiniAttention({ ...options, gateInit: -0.7, gateOn: 'local' }, new Rng(8)),
      ]
      expectClose(await read(a.forward(x).y), await read(b.forward(x).y), 1e-6, 'outputs')
    })
  })

  test.each([false, true])('one key in an empty memory reads back its value (delta rule: %s)', async (deltaRule) => {
    await within(async () => {
      const mixer = new InfiniAttention({ ...options, segment: 1, deltaRule, gateInit: 50, rotary: null }, new Rng(10))
      mixer.qProj.weight.assign(mixer.kProj.weight)
      const x = normal(new Rng(11), [1, 1, D], 1)
      const twice = concat([x, x, x], 1)
      const y = mixer.forward(twice).y
      const value = await read(mixer.oProj.forward(mixer.vProj.forward(x)))
      expectClose(await read(span(y, 1, 1)), value, 1e-5, 'after one write')
      // a second delta write changes nothing but the normaliser, which doubles
      const again = deltaRule ? value.map((v) => v / 2) : value
      expectClose(await read(span(y, 2, 1)), again, 1e-5, 'after two')
    })
  })

  test('linear writes: the state of linear attention at the end of a segment', async () => {
    await within(async () => {
      const mixer = new InfiniAttention(options, new Rng(12))
      const x = normal(new Rng(13), [2, 12, D], 1)
      const { state } = mixer.forward(x)
      const heads = (proj: Linear): Tensor => reshape(proj.forward(x), [2, 12, 2, 4])
      const k = eluPlusOne(heads(mixer.kProj))
      const linear = normalisedLinearAttention({ q: k, k, v: heads(mixer.vProj) }, { scale: 1 })
      expectClose(await read(state.memory), await read(linear.state), 1e-5, 'memory')
      expectClose(await read(state.normaliser), await read(linear.normaliser), 1e-5, 'normaliser')
    })
  })

  test('one value a head more than softmax attention', () => {
    const mixer = new InfiniAttention(options, new Rng(0))
    expect(mixer.parameterCount()).toBe(4 * D * D + 2)
    mixer.dispose()
  })

  test('a segment of no tokens is refused', () => {
    expect(() => new InfiniAttention({ ...options, segment: 0 }, new Rng(0))).toThrow(/segment: expected .* got 0/)
  })
})
