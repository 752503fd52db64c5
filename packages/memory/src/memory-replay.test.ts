import { normal, Rng, valueAndGrads } from '@mneme/core-tensor'
import { read, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { add, memory, mul, sum, type Tensor, type Variable } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { memoryReplay, type SegmentedLoss } from './memory-replay.js'
import { MemorySlots } from './memory-slots.js'

const D = 4
const make = (): MemorySlots =>
  new MemorySlots({ dModel: D, nHeads: 2, slots: 3, writer: 'gru', updates: 1, temperature: 1, dInner: 6 }, new Rng(1))
const drawn = (count: number): Tensor[] =>
  Array.from({ length: count }, (_, i) => normal(new Rng(10 + i), [2, 3, D], 1))

/** Tokens read the slots, and are then written; the loss weighs what was read. */
function problem(slots: MemorySlots, watch?: () => void): SegmentedLoss<Tensor, Tensor> {
  const cotangent = normal(new Rng(2), [2, 3, D], 1)
  return {
    begin: () => slots.initialState(2),
    segment: (h, state) => {
      const { y } = slots.read(state, h)
      const after = slots.write(state, { h: add(h, y) })
      watch?.()
      return { loss: sum(mul(y, cotangent)), state: after }
    },
  }
}

/** All segments under one tape. */
function plain({ begin, segment }: SegmentedLoss<Tensor, Tensor>, inputs: readonly Tensor[]): Tensor {
  let state = begin()
  let total: Tensor | null = null
  for (const input of inputs) {
    const out = segment(input, state)
    state = out.state
    total = total === null ? out.loss : add(total, out.loss)
  }
  return total as Tensor
}

type Run = (p: SegmentedLoss<Tensor, Tensor>, inputs: Tensor[], parameters: Variable[]) => void

describe('memoryReplay', () => {
  test('value and gradients of every parameter are those of plain back-propagation', async () => {
    await within(async () => {
      for (const count of [1, 2, 7]) {
        const slots = make()
        const inputs = drawn(count)
        const parameters = slots.parameters()
        const expected = valueAndGrads(() => plain(problem(slots), inputs), parameters)
        const actual = memoryReplay(problem(slots), inputs, parameters)
        expectClose(await read(actual.value), await read(expected.value), 1e-5, 'loss')
        for (const [i, g] of expected.grads.entries()) {
          if (g === null) expect(actual.grads[i]).toBeNull()
          else expectClose(await read(actual.grads[i] as Tensor), await read(g), 1e-5, `gradient ${i}`)
        }
      }
    })
  })

  test('tensors alive at once: one for each segment, its state; plain back-propagation holds whole segments', async () => {
    await within(async () => {
      const peak = (count: number, run: Run): number => {
        const inputs = drawn(count)
        let most = 0
        const slots = make()
        const watched = problem(slots, () => {
          most = Math.max(most, memory().numTensors)
        })
        const before = memory().numTensors
        run(watched, inputs, slots.parameters())
        return most - before
      }
      const replay = (count: number): number =>
        peak(count, (p, inputs, parameters) => {
          const { value, grads } = memoryReplay(p, inputs, parameters)
          for (const t of [value, ...grads]) t?.dispose()
        })
      const whole = (count: number): number =>
        peak(count, (p, inputs, parameters) => void valueAndGrads(() => plain(p, inputs), parameters))
      expect(replay(12) - replay(4)).toBe(8)
      expect(whole(12) - whole(4)).toBeGreaterThan(8 * 20)
    })
  })

  test('nothing is left behind but what is handed back', async () => {
    await within(async () => {
      const slots = make()
      const inputs = drawn(3)
      const task = problem(slots)
      const counts: number[] = []
      for (let i = 0; i < 4; i++) {
        const { value, grads } = memoryReplay(task, inputs, slots.parameters())
        for (const t of [value, ...grads]) t?.dispose()
        counts.push(memory().numTensors)
      }
      expect(counts.at(-1)).toBe(counts[0])
    })
  })
})
