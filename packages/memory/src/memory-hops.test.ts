import { normal, Rng } from '@mneme/core-tensor'
import { read, rows, span, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { add, concat, mul, ones, sub, tensor1d, tensor2d, zeros } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { hop, WindowHops } from './memory-hops.js'

describe('hop', () => {
  test('is an attention read added to the query, by hand', async () => {
    await within(async () => {
      const m = tensor2d([
        [1, 0],
        [0, 1],
      ])
      const c = tensor2d([
        [2, 0],
        [0, 4],
      ])
      const p = 1 / (1 + Math.exp(-1))
      expectClose(await read(hop(tensor1d([1, 0]), m, c)), [1 + 2 * p, 4 * (1 - p)], 1e-6, 'query')
    })
  })

  test('without its softmax it is linear in the keys', async () => {
    await within(async () => {
      const draw = (seed: number, ...shape: number[]) => normal(new Rng(seed), shape, 1)
      const [u, m, n, c] = [draw(1, 2, 3), draw(2, 2, 4, 3), draw(3, 2, 4, 3), draw(4, 2, 4, 3)]
      const readOf = (keys: typeof m) => sub(hop(u, keys, c, { softmax: false }), u)
      expectClose(await read(readOf(add(m, mul(2, n)))), await read(add(readOf(m), mul(2, readOf(n)))), 1e-5, 'reads')
    })
  })

  test('a closed slot is not read, with the softmax and without', async () => {
    await within(async () => {
      const [u, m] = [normal(new Rng(5), [3], 1), normal(new Rng(6), [2, 3], 1)]
      const open = tensor1d([1, 0])
      const alone = rows(m, 0, 1)
      for (const softmax of [true, false]) {
        expectClose(
          await read(hop(u, m, m, { open, softmax })),
          await read(hop(u, alone, alone, { softmax })),
          1e-6,
          'u',
        )
      }
    })
  })
})

describe('WindowHops', () => {
  const options = { dModel: 4, hops: 1, slots: 3, tying: 'adjacent', query: 'token', halfRelu: false } as const

  test('sees so many tokens and no more', async () => {
    await within(async () => {
      const mixer = new WindowHops({ ...options, hops: 3 }, new Rng(1))
      const x = normal(new Rng(2), [1, 6, 4], 1)
      const late = mixer.forward(span(x, 3, 3), { past: span(x, 1, 2), count: 2 }).y
      expectClose(await read(late), await read(span(mixer.forward(x).y, 3, 3)), 1e-6, 'outputs')
      mixer.dispose()
    })
  })

  test('without times the order of the tokens before does not matter', async () => {
    await within(async () => {
      const mixer = new WindowHops(options, new Rng(3))
      for (const t of mixer.times) t.assign(zeros([3, 4]))
      const x = normal(new Rng(4), [1, 1, 4], 1)
      const past = normal(new Rng(5), [1, 2, 4], 1)
      const swapped = concat([span(past, 1, 1), span(past, 0, 1)], 1)
      const y = (state: typeof past) => read(mixer.forward(x, { past: state, count: 2 }).y)
      expectClose(await y(swapped), await y(past), 1e-6, 'outputs')
      mixer.dispose()
    })
  })

  test('shared maps with H = 1 are adjacent maps that are all the same', async () => {
    await within(async () => {
      const mixer = new WindowHops({ ...options, hops: 2, tying: 'layerwise' }, new Rng(6))
      const twin = new WindowHops({ ...options, hops: 2 }, new Rng(7))
      const identity = tensor2d([1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1], [4, 4])
      mixer.between?.weight.assign(identity)
      for (const model of [mixer, twin]) {
        for (const map of model.maps) map.weight.assign(mul(ones([4, 4]), 0.1))
        for (const t of model.times) t.assign(ones([3, 4]))
      }
      const x = normal(new Rng(8), [2, 5, 4], 1)
      expectClose(await read(mixer.forward(x).y), await read(twin.forward(x).y), 1e-5, 'outputs')
      expect(mixer.parameterCount()).toBe(2 * 16 + 2 * 12 + 16)
      for (const model of [mixer, twin]) model.dispose()
    })
  })
})
