import { MinGRU } from '@mneme/recurrent'
import { inPieces, read, readState, type Sequence, span, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { add, concat, mul, ones, type Tensor, tile, type Variable } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { vjp } from './gradients.js'
import { normal } from './init.js'
import type { SequenceMixer } from './mixer.js'
import { Module, parameter } from './module.js'
import { Rng } from './rng.js'
import { type Carry, type SegmentRecurrent, segmentRecurrent } from './segment.js'

const D = 4

/** One vector of memory, shown before a segment and asked for behind it; it keeps half of what it held. */
class OneToken extends Module implements Carry<Tensor> {
  readonly front: number = 1
  readonly start: Variable

  constructor(rng: Rng) {
    super()
    this.start = parameter(normal(rng, [1, 1, D], 1))
  }

  initialState(batch: number): Tensor {
    return tile(this.start, [batch, 1, 1])
  }

  before(carried: Tensor): Tensor | null {
    return carried
  }

  after(carried: Tensor): Tensor | null {
    return carried
  }

  update(written: Tensor | null, carried: Tensor): Tensor {
    return written === null ? carried : add(mul(carried, 0.5), written)
  }

  stateBytes(): number {
    return 4 * D
  }
}

/** Remembers nothing, so that every segment starts alike. */
class Nothing extends OneToken {
  override readonly front = 0

  override before(): Tensor | null {
    return null
  }

  override after(): Tensor | null {
    return null
  }
}

const gru = (rng: Rng): MinGRU => new MinGRU({ dModel: D, expansion: 1, h0: 'zero' }, rng)

function make(length: number, backprop = Number.POSITIVE_INFINITY, carries = true): SegmentRecurrent<Tensor> {
  const rng = new Rng(1)
  return segmentRecurrent(gru(rng), carries ? new OneToken(rng) : new Nothing(rng), { length, backprop })
}

const draw = (seed: number, B: number, T: number): Tensor => normal(new Rng(seed), [B, T, D], 1)

describe('segmentRecurrent', () => {
  test('whole = pieces = steps, wherever the pieces end', async () => {
    await within(async () => {
      const model = make(5)
      const x = draw(2, 2, 17)
      const whole = model.forward(x)
      for (const sizes of [[5, 5, 5, 2], [3, 9, 5], [1, 15, 1], Array<number>(17).fill(1)]) {
        const pieces = inPieces(model as unknown as Sequence, x, sizes)
        expectClose(await read(pieces.y), await read(whole.y), 1e-5, `pieces of ${sizes.join(', ')}`)
        const [a, b] = [await readState(pieces.state), await readState(whole.state)]
        for (const [i, values] of a.entries()) expectClose(values, b[i] as Float32Array, 1e-5, `state ${i}`)
      }
    })
  })

  test('a segment sees its memory, then its tokens, and leaves what stands behind them', async () => {
    await within(async () => {
      const model = make(3)
      const x = draw(3, 1, 3)
      const start = (model.carry as OneToken).start
      const inside = model.inner.forward(concat([start, x, start], 1)).y
      const { y, state } = model.forward(x)
      expectClose(await read(y), await read(span(inside, 1, 3)), 1e-5, 'outputs')
      expectClose(await read(state.carried), await read(add(mul(start, 0.5), span(inside, 4, 1))), 1e-5, 'memory')
      expect([state.inner, state.filled]).toEqual([null, 0])
    })
  })

  test('a carry without tokens passes nothing on: segments stand alone', async () => {
    await within(async () => {
      const model = make(4, Number.POSITIVE_INFINITY, false)
      const x = draw(4, 1, 8)
      const second = span(model.forward(x).y, 4, 4)
      expectClose(await read(second), await read(model.inner.forward(span(x, 4, 4)).y), 1e-6, 'second segment')
    })
  })

  test('between segments only the carry is kept', async () => {
    await within(async () => {
      const model = make(4)
      for (const [T, filled] of [
        [4, 0],
        [6, 2],
        [8, 0],
      ] as const) {
        const { state } = model.forward(draw(5, 1, T))
        expect(state.filled).toBe(filled)
        expect(state.inner === null).toBe(filled === 0)
        expect(model.stateBytes(T)).toBe(4 * D + (filled === 0 ? 0 : 4 * D))
      }
    })
  })

  test('gradients flow through as many segments as they may and no further', async () => {
    await within(async () => {
      const segments = 5
      for (const backprop of [1, 2, Number.POSITIVE_INFINITY]) {
        const model = make(2, backprop)
        const x = draw(6, 1, 2 * segments)
        const last = (): Tensor => span(model.forward(x).y, 2 * segments - 2, 2)
        const [grad] = vjp(() => [last()], [x], [ones([1, 2, D])]) as [Tensor]
        const values = await read(grad)
        const reached = Array.from({ length: segments }, (_, i) =>
          values.slice(i * 2 * D, (i + 1) * 2 * D).some((g) => g !== 0),
        )
        // cuts stand behind every `backprop` segments, counted from the first
        const open = Number.isFinite(backprop) ? Math.floor((segments - 1) / backprop) * backprop : 0
        expect(reached, `${backprop} segments`).toEqual(Array.from({ length: segments }, (_, i) => i >= open))
        expect(model.traits.backprop).toBe(Number.isFinite(backprop) ? 2 * backprop : undefined)
      }
    })
  })

  test('where gradients are cut, values are the same', async () => {
    await within(async () => {
      const x = draw(7, 2, 11)
      const free = await read(make(3).forward(x).y)
      expect(await read(make(3, 1).forward(x).y)).toEqual(free)
    })
  })

  test('cuts are counted across calls', async () => {
    await within(async () => {
      const model = make(2, 2)
      const [a, b] = [draw(8, 1, 2), draw(9, 1, 4)]
      const run = (): Tensor[] => [span(model.forward(b, model.forward(a).state).y, 2, 2)]
      // a is the first segment of two, b holds the second and one behind the cut
      const [intoA] = vjp(run, [a], [ones([1, 2, D])]) as [Tensor]
      expect((await read(intoA)).every((g) => g === 0)).toBe(true)
      const [alone] = vjp(() => [span(model.forward(b, model.forward(a).state).y, 0, 2)], [a], [ones([1, 2, D])]) as [
        Tensor,
      ]
      expect((await read(alone)).some((g) => g !== 0)).toBe(true)
    })
  })

  test('what it cannot honour is refused', async () => {
    await within(async () => {
      const rng = new Rng(0)
      const carry = new OneToken(rng)
      for (const length of [0, -1, 2.5]) {
        expect(() => segmentRecurrent(gru(rng), carry, { length, backprop: 1 })).toThrow(
          `expected a whole number of tokens, at least 1, got ${length}`,
        )
      }
      const both = Object.assign(gru(rng), { traits: { causal: false, padding: false, constantState: true } })
      expect(() => segmentRecurrent(both as SequenceMixer, carry, { length: 2, backprop: 1 })).toThrow(
        /expected a causal/,
      )
    })
  })
})
