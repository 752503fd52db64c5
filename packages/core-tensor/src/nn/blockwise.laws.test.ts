import { read, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { profile, square, sum, type Tensor } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { valueAndGrads } from '../gradients.js'
import { normal } from '../init.js'
import { Rng } from '../rng.js'
import { Blockwise } from './blockwise.js'
import { SwiGLU } from './feed-forward.js'

describe('Blockwise', () => {
  test('gives what the map gives, gradients too, whatever the block', async () => {
    await within(async () => {
      const inner = new SwiGLU(4, 6, new Rng(1))
      const x = normal(new Rng(2), [2, 7, 4], 1)
      const by = [x, ...inner.parameters()]
      const run = (map: { forward(x: Tensor): Tensor }) => valueAndGrads(() => sum(square(map.forward(x))), by)
      const plain = run(inner)
      for (const block of [1, 3, 7, 50]) {
        const blockwise = run(new Blockwise(inner, block))
        expectClose(await read(blockwise.value), await read(plain.value), 1e-5, `value, blocks of ${block}`)
        for (const [i, g] of plain.grads.entries()) {
          expectClose(await read(blockwise.grads[i] as Tensor), await read(g as Tensor), 1e-5, `gradient ${i}`)
        }
      }
      inner.dispose()
    })
  })

  test('keeps the activations of one block: memory does not grow with the inner width times the length', async () => {
    await within(async () => {
      const inner = new SwiGLU(4, 256, new Rng(3))
      const blockwise = new Blockwise(inner, 64)
      const peak = async (map: { forward(x: Tensor): Tensor }, T: number): Promise<number> => {
        const x = normal(new Rng(4), [1, T, 4], 1)
        return (await profile(() => valueAndGrads(() => sum(map.forward(x)), inner.parameters()).value)).peakBytes
      }
      const grows = async (map: { forward(x: Tensor): Tensor }) => (await peak(map, 512)) - (await peak(map, 128))
      const perToken = 4 * 256
      expect(await grows(inner)).toBeGreaterThan(2 * 384 * perToken)
      expect(await grows(blockwise)).toBeLessThan(384 * perToken)
      inner.dispose()
    })
  })

  test('a block without tokens is refused', () => {
    const inner = new SwiGLU(4, 6, new Rng(1))
    expect(() => new Blockwise(inner, 0)).toThrow(/block: expected a whole number of tokens, at least 1, got 0/)
    inner.dispose()
  })
})
