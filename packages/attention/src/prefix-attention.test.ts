import { normal, normalInit, Rng, softmaxAttention } from '@mneme/core-tensor'
import { read, span, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import {
  abs,
  add,
  concat,
  eye,
  fill,
  mul,
  ones,
  reshape,
  softmax,
  sum,
  type Tensor,
  tensor,
  tensor2d,
} from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { Aaren } from './aaren.js'
import { Latte } from './latte.js'
import { emptyPrefix, prefixAttention } from './prefix-attention.js'
import { SoftmaxAttention } from './softmax-attention.js'

const D = 6
const projection = { bias: false, init: normalInit(0.6) }

/** One slot a head, by a list of scores and values. */
const averages = async (scores: number[], values: number[], chunk: number): Promise<Float32Array> => {
  const at = (x: number[]): Tensor => tensor(x, [1, x.length, 1, 1])
  const inputs = { scores: at(scores), values: at(values), mixture: ones([1, scores.length, 1, 1]) }
  return read(prefixAttention(inputs, emptyPrefix(1, 1, 1, 1), null, chunk).o)
}

describe('prefix attention', () => {
  test('scores 0, 0, ln 2 of values 1, 3, 5: 1, 2, 3.5', async () => {
    await within(async () => {
      for (const chunk of [1, 2, 8]) {
        expectClose(await averages([0, 0, Math.log(2)], [1, 3, 5], chunk), [1, 2, 3.5], 1e-6, `chunk ${chunk}`)
      }
    })
  })

  test('scores of a thousand to either side: as the softmax over each prefix', async () => {
    await within(async () => {
      const rng = new Rng(1)
      const scores = Array.from({ length: 40 }, () => 1000 * (2 * rng.uniform() - 1))
      const values = Array.from({ length: 40 }, () => rng.normal())
      const expected = scores.map((_, t) => {
        const top = Math.max(...scores.slice(0, t + 1))
        const weights = scores.slice(0, t + 1).map((s) => Math.exp(s - top))
        const total = weights.reduce((a, b) => a + b)
        return weights.reduce((sum, w, s) => sum + w * (values[s] as number), 0) / total
      })
      expectClose(await averages(scores, values, 8), expected, 1e-5, 'averages')
    })
  })

  test('the same on every score changes nothing', async () => {
    await within(async () => {
      const rng = new Rng(2)
      const [scores, values] = [normal(rng, [2, 9, 2, 3], 1), normal(rng, [2, 9, 2, 4], 1)]
      const mixture = softmax(normal(rng, [2, 9, 2, 3], 1)) as Tensor
      const run = (s: Tensor) =>
        read(prefixAttention({ scores: s, values, mixture }, emptyPrefix(2, 2, 3, 4), null, 4).o)
      expectClose(await run(add(scores, 7)), await run(scores), 1e-5, 'outputs')
    })
  })
})

describe('Aaren', () => {
  const options = { dModel: D, nHeads: 2, dHead: 3, chunk: 4, projection }

  test('is softmax attention of the learned query over all tokens so far', async () => {
    await within(async () => {
      const mixer = new Aaren(options, new Rng(3))
      const x = normal(new Rng(4), [2, 13, D], 1)
      const heads = (y: Tensor, B: number): Tensor => reshape(y, [B, -1, 2, 3])
      const q = mul(heads(mixer.qProj.forward(reshape(mixer.query, [1, D])), 1), ones([2, 13, 1, 1]))
      const [k, v] = [heads(mixer.kProj.forward(x), 2), heads(mixer.vProj.forward(x), 2)]
      const expected = mixer.oProj.forward(reshape(softmaxAttention({ q, k, v }).o, [2, 13, D]))
      expectClose(await read(mixer.forward(x).y), await read(expected), 1e-5, 'outputs')
    })
  })

  test('one token more than softmax attention has', () => {
    const plain = new SoftmaxAttention({ ...options, nKvHeads: 2, window: 0, rotary: null }, new Rng(0))
    const mixer = new Aaren(options, new Rng(0))
    expect(mixer.parameterCount() - plain.parameterCount()).toBe(D)
    for (const m of [plain, mixer]) m.dispose()
  })

  test('the order of the tokens does not matter to the last output', async () => {
    await within(async () => {
      const mixer = new Aaren(options, new Rng(5))
      const x = normal(new Rng(6), [1, 6, D], 1)
      const turned = concat([span(x, 3, 3), span(x, 0, 3)], 1)
      const last = async (input: Tensor) => read(span(mixer.forward(input).y, 5, 1))
      expectClose(await last(turned), await last(x), 1e-5, 'last')
    })
  })
})

describe('Latte', () => {
  const options = { dModel: D, nHeads: 2, slots: 8, scale: 1, chunk: 4, projection }

  test('in chunks of any size as the recurrence', async () => {
    await within(async () => {
      const x = normal(new Rng(7), [2, 21, D], 1)
      const run = async (chunk: number) => read(new Latte({ ...options, chunk }, new Rng(1)).forward(x).y)
      const one = await run(1)
      for (const chunk of [2, 7, 64]) expectClose(await run(chunk), one, 1e-5, `chunk ${chunk}`)
    })
  })

  test('one slot a head: the query does not matter', async () => {
    await within(async () => {
      const mixer = new Latte({ ...options, slots: 2 }, new Rng(8))
      const x = normal(new Rng(9), [1, 7, D], 1)
      const before = await read(mixer.forward(x).y)
      mixer.qProj.weight.assign(mul(mixer.qProj.weight, -5))
      expect(await read(mixer.forward(x).y)).toEqual(before)
    })
  })

  test('the same on all of a token’s choices changes nothing, nor the same on all scores of a slot', async () => {
    await within(async () => {
      const mixer = new Latte({ ...options, projection: { ...projection, bias: true } }, new Rng(12))
      const x = normal(new Rng(13), [1, 7, D], 1)
      const before = await read(mixer.forward(x).y)
      for (const map of [mixer.qProj, mixer.kProj]) map.bias?.assign(add(map.bias, 3))
      expectClose(await read(mixer.forward(x).y), before, 1e-5, 'outputs')
    })
  })

  test('one slot a head is Aaren, whose scores are those of its learned query', async () => {
    await within(async () => {
      const aaren = new Aaren({ dModel: D, nHeads: 2, dHead: 3, chunk: 4, projection }, new Rng(14))
      const mixer = new Latte({ ...options, slots: 2 }, new Rng(15))
      const q = reshape(aaren.qProj.forward(reshape(aaren.query, [1, D])), [2, 3, 1])
      mixer.kProj.weight.assign(sum(mul(mul(reshape(aaren.kProj.weight, [2, 3, D]), q), 3 ** -0.5), 1))
      mixer.vProj.weight.assign(aaren.vProj.weight)
      mixer.oProj.weight.assign(aaren.oProj.weight)
      const x = normal(new Rng(16), [2, 13, D], 1)
      expectClose(await read(mixer.forward(x).y), await read(aaren.forward(x).y), 1e-5, 'outputs')
    })
  })

  test('equal values come out as they are: weights are not negative and sum to 1', async () => {
    await within(async () => {
      const mixer = new Latte({ ...options, projection: { ...projection, bias: true } }, new Rng(17))
      mixer.vProj.weight.assign(fill([D, D], 0))
      const x = mul(normal(new Rng(18), [1, 9, D], 1), 3)
      const y = await read(mixer.forward(x).y)
      const alone = await read(mixer.oProj.forward(reshape(mixer.vProj.bias as Tensor, [1, D])))
      for (let t = 0; t < 9; t++) expectClose(y.slice(t * D, (t + 1) * D), alone, 1e-5, `token ${t}`)
      // a value of one sign stays so
      mixer.vProj.weight.assign(abs(normal(new Rng(19), [D, D], 1)))
      mixer.oProj.weight.assign(eye(D))
      mixer.oProj.bias?.assign(fill([D], 0))
      mixer.vProj.bias?.assign(fill([D], 0))
      expect(Math.min(...(await read(mixer.forward(abs(x)).y)))).toBeGreaterThanOrEqual(0)
    })
  })

  test('scores that are all the same: the running mean of the values', async () => {
    await within(async () => {
      const mixer = new Latte(options, new Rng(10))
      mixer.kProj.weight.assign(fill([8, D], 0))
      const x = normal(new Rng(11), [1, 5, D], 1)
      const v = await read(mixer.vProj.forward(x))
      const means = Array.from(v, (_, n) => {
        const [t, c] = [Math.floor(n / D), n % D]
        const sum = Array.from({ length: t + 1 }, (_, s) => v[s * D + c] as number).reduce((a, b) => a + b)
        return sum / (t + 1)
      })
      const expected = await read(mixer.oProj.forward(tensor(means, [1, 5, D])))
      expectClose(await read(mixer.forward(x).y), expected, 1e-5, 'means')
    })
  })

  test('all to all: the last token sees what it sees causally; padding counts for nothing', async () => {
    await within(async () => {
      const mixer = new Latte(options, new Rng(12))
      const x = normal(new Rng(13), [2, 7, D], 1)
      const causal = mixer.forward(x).y
      expectClose(await read(span(mixer.bidirectional(x), 6, 1)), await read(span(causal, 6, 1)), 1e-5, 'last')
      const mask = tensor2d([1, 1, 1, 1, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0], [2, 7])
      const masked = span(mixer.bidirectional(x, mask), 0, 4)
      expectClose(await read(masked), await read(mixer.bidirectional(span(x, 0, 4))), 1e-5, 'padded')
    })
  })

  test('2 D L + 2 D² values; slots and widths that heads do not divide are refused', () => {
    const mixer = new Latte(options, new Rng(0))
    expect(mixer.parameterCount()).toBe(2 * D * 8 + 2 * D * D)
    mixer.dispose()
    expect(() => new Latte({ ...options, slots: 5 }, new Rng(0))).toThrow(
      /slots: expected a multiple of nHeads = 2, got 5/,
    )
  })
})
