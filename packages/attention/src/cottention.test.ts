import { normal, normalInit, Rng } from '@mneme/core-tensor'
import { read, span, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { eye, fill, mul, reshape, type Tensor, tensor, tensor2d } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { Cottention, type CottentionOptions } from './cottention.js'
import { SoftmaxAttention } from './softmax-attention.js'

const D = 8
const options: CottentionOptions = {
  dModel: D,
  nHeads: 2,
  dHead: 4,
  rotary: null,
  chunk: 4,
  projection: { bias: false, init: normalInit(0.6) },
}

/** The definition, all scores at once, in float64. */
async function quadratic(mixer: Cottention, x: Tensor): Promise<Float64Array> {
  const T = x.shape[1] as number
  const [q, k, v, c] = await Promise.all(
    [mixer.qProj.forward(x), mixer.kProj.forward(x), mixer.vProj.forward(x), mixer.normConst].map(read),
  )
  const o = new Float64Array(T * D)
  const at = (y: Float32Array | undefined, t: number, h: number, i: number): number => y?.[t * D + h * 4 + i] as number
  const four = [0, 1, 2, 3]
  for (let h = 0; h < 2; h++) {
    const a = 1 / (1 + Math.exp(-(c?.[h] as number)))
    const size = (y: Float32Array | undefined, t: number): number => Math.hypot(...four.map((i) => at(y, t, h, i)))
    for (let t = 0; t < T; t++) {
      for (let s = 0; s <= t; s++) {
        const cosine = four.reduce((sum, i) => sum + at(q, t, h, i) * at(k, s, h, i), 0) / (size(q, t) * size(k, s))
        for (const i of four) {
          const n = t * D + h * 4 + i
          o[n] = (o[n] as number) + (cosine * at(v, s, h, i)) / (s + 1) ** a
        }
      }
    }
  }
  return o
}

describe('Cottention', () => {
  test.each([1, 4, 64])('in chunks of %i as the definition', async (chunk) => {
    await within(async () => {
      const mixer = new Cottention({ ...options, chunk }, new Rng(1))
      const x = normal(new Rng(2), [1, 19, D], 1)
      const expected = mixer.oProj.forward(tensor(Float32Array.from(await quadratic(mixer, x)), [1, 19, D]))
      expectClose(await read(mixer.forward(x).y), await read(expected), 1e-5, 'outputs')
    })
  })

  test('one token with q = k = (3, 4), v = (2, 5): (2, 5)', async () => {
    await within(async () => {
      const mixer = new Cottention({ ...options, dModel: 2, nHeads: 1, dHead: 2 }, new Rng(3))
      const x = tensor([1, 1], [1, 1, 2])
      const diagonal = (a: number, b: number): Tensor => tensor2d([a, 0, 0, b], [2, 2])
      mixer.qProj.weight.assign(diagonal(3, 4))
      mixer.kProj.weight.assign(diagonal(3, 4))
      mixer.vProj.weight.assign(diagonal(2, 5))
      mixer.oProj.weight.assign(eye(2))
      expectClose(await read(mixer.forward(x).y), [2, 5], 1e-6, 'output')
    })
  })

  test('longer queries and keys change nothing', async () => {
    await within(async () => {
      const mixer = new Cottention({ ...options, rotary: { dims: 2, layout: 'interleaved' } }, new Rng(4))
      const x = normal(new Rng(5), [1, 9, D], 1)
      const before = await read(mixer.forward(x).y)
      for (const proj of [mixer.qProj, mixer.kProj]) proj.weight.assign(mul(proj.weight, 30))
      expectClose(await read(mixer.forward(x).y), before, 1e-5, 'outputs')
    })
  })

  test('an exponent of nothing: the sum of values by their cosines, undivided', async () => {
    await within(async () => {
      const mixer = new Cottention(options, new Rng(6))
      mixer.normConst.assign(fill([2], -50))
      mixer.kProj.weight.assign(mixer.qProj.weight)
      mixer.oProj.weight.assign(eye(D))
      // one token over and over: every cosine is 1
      const x = mul(normal(new Rng(7), [1, 1, D], 1), fill([1, 5, 1], 1))
      const v = mixer.vProj.forward(x)
      const times = reshape(tensor([1, 2, 3, 4, 5]), [1, 5, 1])
      expectClose(await read(mixer.forward(x).y), await read(mul(v, times)), 1e-5, 'sums')
    })
  })

  test('all to all: padding counts for nothing, and the divisor is the number of tokens', async () => {
    await within(async () => {
      const mixer = new Cottention({ ...options, rotary: { dims: 4 } }, new Rng(8))
      const x = normal(new Rng(9), [1, 7, D], 1)
      const masked = span(mixer.bidirectional(x, tensor2d([[1, 1, 1, 1, 0, 0, 0]])), 0, 4)
      expectClose(await read(masked), await read(mixer.bidirectional(span(x, 0, 4))), 1e-5, 'padded')
      const alone = span(x, 0, 1)
      expectClose(await read(mixer.bidirectional(alone)), await read(mixer.forward(alone).y), 1e-5, 'one token')
    })
  })

  test('one value a head more than softmax attention', () => {
    const plain = new SoftmaxAttention({ ...options, nKvHeads: 2, window: 0 }, new Rng(0))
    const mixer = new Cottention(options, new Rng(0))
    expect(mixer.parameterCount() - plain.parameterCount()).toBe(2)
    for (const m of [plain, mixer]) m.dispose()
  })
})
