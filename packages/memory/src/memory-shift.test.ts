import { normal, normalInit, parameter, Rng, residualStack } from '@mneme/core-tensor'
import { read, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { concat, type Tensor } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { CompressiveMemory } from './compressive-memory.js'
import { MemoryShift } from './memory-shift.js'

const [D, H, K, L] = [4, 2, 2, 3]

function stackOf(layers: number, seed: number) {
  const rng = new Rng(seed)
  const table = parameter(normal(rng, [H, 2 * L, K], 0.5))
  const sizes = { dModel: D, nHeads: H, dHead: K, segment: L, memory: L, compressed: 0, rate: 1 }
  const projection = { bias: false, init: normalInit(0.7) }
  const mixer = () => new CompressiveMemory({ ...sizes, compression: 'mean', cut: true, projection }, { table }, rng)
  return residualStack(Array.from({ length: layers }, () => ({ mixer: mixer() })))
}

describe('MemoryShift', () => {
  test('of one layer, or where no state goes round, it changes nothing', async () => {
    await within(async () => {
      const x = normal(new Rng(1), [2, 4 * L + 1, D], 1)
      for (const [depth, layers] of [
        [1, [0]],
        [3, []],
      ] as const) {
        const stack = stackOf(depth, 2)
        const shift = new MemoryShift(stack, { dModel: D, segment: L, layers })
        expectClose(await read(shift.forward(x).y), await read(stack.forward(x).y), 1e-6, 'outputs')
      }
    })
  })

  test('two layers see beyond two segments of memory, which without it they cannot', async () => {
    await within(async () => {
      const [text, one, other] = [3, 4, 5].map((seed) => normal(new Rng(seed), [1, 3 * L, D], 1)) as [
        Tensor,
        Tensor,
        Tensor,
      ]
      const stack = stackOf(2, 6)
      const shift = new MemoryShift(stack, { dModel: D, segment: L, layers: [0, 1] })
      for (const [mixer, reaches] of [
        [stack, false],
        [shift, true],
      ] as const) {
        const after = (first: Tensor): Promise<Float32Array> =>
          read(mixer.forward(text, mixer.forward(concat([first, text], 1)).state as never).y)
        const [a, b] = [await after(one), await after(other)]
        const apart = Math.max(...a.map((value, i) => Math.abs(value - (b[i] as number))))
        if (reaches) expect(apart).toBeGreaterThan(1e-6)
        else expect(apart).toBe(0)
      }
    })
  })

  test('layers that are not there are refused', () => {
    const stack = stackOf(2, 1)
    expect(() => new MemoryShift(stack, { dModel: D, segment: L, layers: [2] })).toThrow(/some of 2 layers.*got 2/)
  })
})
