import { MinGRU } from '@mneme/recurrent'
import { read, readState, rows, span, within } from '@mneme/testing/subject'
import { expectClose, tolerances } from '@mneme/testing/tolerance'
import {
  add,
  concat,
  matMul,
  mul,
  ones,
  slice,
  sum,
  type Tensor,
  type Tensor2D,
  tensor2d,
  tensor3d,
  tile,
  type Variable,
} from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { residualStack } from './depth.js'
import { valueAndGrads } from './gradients.js'
import { normal } from './init.js'
import { readStateFile, writeStateFile } from './io/state-file.js'
import type { Mixed, MixerTraits, Pass, Recorder, SequenceMixer } from './mixer.js'
import { Module, parameter } from './module.js'
import { Rng } from './rng.js'
import { rowByRow } from './row-by-row.js'
import { bySegments, type Carry, type SegmentRecurrent, segmentRecurrent } from './segment.js'
import { type ByRow, detach, leaves, loadState, type State, saveState, sliceBatch, stateBytes } from './state.js'

const D = 3
const SEGMENT = 4

/** What ends a segment is shown to the next; before the first stands a learned vector. */
class LastToken extends Module implements Carry<Tensor> {
  readonly front = 1
  readonly start: Variable = parameter(normal(new Rng(1), [1, 1, D], 1))

  initialState(batch: number): Tensor {
    return tile(this.start, [batch, 1, 1])
  }

  before(carried: Tensor): Tensor {
    return carried
  }

  after(carried: Tensor): Tensor {
    return carried
  }

  update(written: Tensor | null, carried: Tensor): Tensor {
    return written === null ? carried : add(carried, written)
  }

  stateBytes(): number {
    return 4 * D
  }
}

type Segments = SegmentRecurrent<Tensor>
type SegmentsState = ReturnType<Segments['initialState']>

function segments(): Segments {
  const inner = new MinGRU({ dModel: D, expansion: 1, h0: 'zero' }, new Rng(2))
  return segmentRecurrent(inner, new LastToken(), { length: SEGMENT, backprop: Number.POSITIVE_INFINITY })
}

const draw = (seed: number, B: number, T: number): Tensor => normal(new Rng(seed), [B, T, D], 1)
const byRow = (state: State): readonly SegmentsState[] => (state as unknown as ByRow<SegmentsState>).byRow

function passOf(mask?: readonly (readonly number[])[], resets?: readonly (readonly number[])[]): Pass {
  const made = (values: readonly (readonly number[])[]) => tensor2d(values.map((row) => [...row])) as Tensor2D
  return { training: false, ...(mask && { mask: made(mask) }), ...(resets && { resets: made(resets) }) }
}

describe('rowByRow', () => {
  test('rows of unequal length end in states of their own, go on with them, and are one state again', async () => {
    await within(async () => {
      const model = segments()
      const x = draw(3, 2, 6)
      const pass = passOf([
        [1, 1, 0, 1, 1, 1],
        [0, 0, 1, 1, 1, 0],
      ])
      const first = model.forward(x, undefined, pass)
      expect(byRow(first.state).map(({ filled }) => filled)).toEqual([1, 3])
      const alone = [
        model.forward(concat([span(rows(x, 0, 1), 0, 2), span(rows(x, 0, 1), 3, 3)], 1)),
        model.forward(span(rows(x, 1, 1), 2, 3)),
      ] as const
      const expected = concat([span(alone[0].y, 0, 2), span(alone[0].y, 2, 3), alone[1].y], 1)
      const [y0, y1] = [rows(first.y, 0, 1), rows(first.y, 1, 1)]
      const found = concat([span(y0, 0, 2), span(y0, 3, 3), span(y1, 2, 3)], 1)
      expectClose(await read(found), await read(expected), tolerances.forward(), 'outputs')
      expect([...(await read(span(y1, 0, 2))), ...(await read(span(y0, 2, 1)))].every((y) => y === 0)).toBe(true)

      // no mask now: the state alone keeps them apart, until both are at one place of a segment
      const more = draw(4, 2, 3)
      const second = model.forward(more, first.state)
      expect(byRow(second.state).map(({ filled }) => filled)).toEqual([0, 2])
      const last = draw(5, 2, 2)
      const third = model.forward(
        last,
        second.state,
        passOf([
          [1, 1],
          [0, 0],
        ]),
      )
      expect([third.state.filled, third.state.carried.shape]).toEqual([2, [2, 1, D]])
      for (const row of [0, 1] as const) {
        const next = model.forward(rows(more, row, 1), (alone[row] as Mixed<SegmentsState>).state)
        expectClose(await read(rows(second.y, row, 1)), await read(next.y), tolerances.forward(), `row ${row}, later`)
        const end = row === 0 ? model.forward(rows(last, 0, 1), next.state) : next
        const states = [await readState(sliceBatch(third.state, row, 1)), await readState(end.state)] as const
        for (const [i, values] of states[0].entries()) {
          expectClose(values, states[1][i] as Float32Array, tolerances.forward(), `row ${row}, state ${i}`)
        }
      }
      model.dispose()
    })
  })

  test('where all rows have gaps at the same places they stay together', async () => {
    await within(async () => {
      const model = segments()
      const sizes: number[][] = []
      const counted: Pick<SequenceMixer<SegmentsState>, 'initialState' | 'forward'> = {
        initialState: (batch) => model.initialState(batch),
        forward: (x, state, pass) => {
          sizes.push(x.shape)
          expect(Object.keys(pass ?? {})).toEqual(['training'])
          return model.forward(x, state, pass)
        },
      }
      const x = draw(6, 2, 6)
      expect(rowByRow(counted, x, undefined, undefined)).toBeNull()
      expect(rowByRow(counted, x, model.initialState(2), { training: true })).toBeNull()
      const mask = [0, 1, 1, 1, 0, 1]
      const resets = [0, 0, 0, 1, 0, 0]
      const mixed = rowByRow(counted, x, undefined, passOf([mask, mask], [resets, resets])) as Mixed<SegmentsState>
      expect(sizes).toEqual([
        [2, 2, D],
        [2, 2, D],
      ])
      const second = model.forward(concat([span(x, 3, 1), span(x, 5, 1)], 1))
      expectClose(await read(span(mixed.y, 5, 1)), await read(span(second.y, 1, 1)), tolerances.forward(), 'last')
      expect(mixed.state.carried.shape).toEqual([2, 1, D])
      // a start at padding is none
      sizes.length = 0
      rowByRow(
        counted,
        x,
        undefined,
        passOf(
          [mask, mask],
          [
            [1, 0, 0, 0, 1, 0],
            [1, 0, 0, 0, 1, 0],
          ],
        ),
      )
      expect(sizes).toEqual([[2, 4, D]])
      // nothing but padding moves nothing, and still has outputs
      const idle = rowByRow(
        counted,
        x,
        undefined,
        passOf([
          [0, 0, 0, 0, 0, 0],
          [0, 0, 0, 0, 0, 0],
        ]),
      ) as Mixed<SegmentsState>
      expect(idle.y.shape).toEqual([2, 6, D])
      expect(await readState(idle.state)).toEqual(await readState(model.initialState(2)))
      model.dispose()
    })
  })

  test('gradients reach the learned initial state and the given one from every document', async () => {
    await within(async () => {
      const model = segments()
      const x = draw(7, 2, 6)
      const given = detach(model.forward(draw(8, 2, SEGMENT)).state)
      const pass = passOf(undefined, [
        [0, 0, 1, 0, 0, 0],
        [0, 0, 0, 0, 1, 0],
      ])
      const start = (model.carry as LastToken).start
      const slopes = (f: () => Tensor) => valueAndGrads(() => sum(mul(f(), f())), [start, given.carried]).grads
      const [a, b] = [
        slopes(() => model.forward(x, given, pass).y),
        slopes(() => {
          const [r0, r1] = [rows(x, 0, 1), rows(x, 1, 1)]
          return concat(
            [
              model.forward(span(r0, 0, 2), sliceBatch(given, 0, 1)).y,
              model.forward(span(r0, 2, 4)).y,
              model.forward(span(r1, 0, 4), sliceBatch(given, 1, 1)).y,
              model.forward(span(r1, 4, 2)).y,
            ],
            1,
          )
        }),
      ]
      for (const [i, name] of ['initial', 'given'].entries()) {
        const values = await read(a[i] as Tensor)
        expect(values.some((g) => g !== 0)).toBe(true)
        expectClose(values, await read(b[i] as Tensor), tolerances.gradient(), name)
      }
      model.dispose()
    })
  })
})

/** Tokens of a segment that are 1, so far: a number counts, and a shared tensor of the pass is passed on. */
class Counting extends Module implements SequenceMixer<{ readonly [name: string]: State; readonly n: number }> {
  readonly traits: MixerTraits = { causal: true, padding: true, constantState: true }
  readonly seen: Tensor[] = []

  constructor(private readonly gives: boolean) {
    super()
  }

  initialState(): { n: number } {
    return { n: 0 }
  }

  forward(x: Tensor, state: { n: number } = this.initialState(), pass?: Pass): Mixed<{ n: number }> {
    const apart = rowByRow(this, x, state, pass)
    if (apart !== null) return apart
    if (pass?.tokenTypes) this.seen.push(pass.tokenTypes)
    pass?.record?.record('x', x)
    if (this.gives) pass?.shared?.set('x', mul(x, 2))
    const given = this.gives ? x : (pass?.shared?.get('x') as Tensor)
    return bySegments(
      x.shape[1] as number,
      state,
      ({ n }) => SEGMENT - n,
      ({ begin, size }, { n }) => ({
        y: slice(given, [0, begin, 0], [-1, size, -1]),
        state: { n: (n + size) % SEGMENT },
      }),
    )
  }

  stateBytes(): number {
    return 0
  }
}

describe('what a pass holds', () => {
  const mask = [
    [1, 1, 0],
    [0, 1, 1],
  ]
  const resets = [
    [0, 1, 0],
    [0, 0, 0],
  ]

  test('kinds of tokens are cut alike, pictures say which row, and layers find what an earlier one left', async () => {
    await within(async () => {
      const [first, second] = [new Counting(true), new Counting(false)]
      const x = draw(9, 2, 3)
      const pictures: string[] = []
      const recorder = (path: string): Recorder => ({
        record: (name, value) => void pictures.push(`${path}${name} ${value.shape}`),
        at: (below) => recorder(`${path}${below}.`),
      })
      const pass = {
        ...passOf(mask, resets),
        tokenTypes: tensor2d(
          [
            [1, 2, 3],
            [4, 5, 6],
          ],
          [2, 3],
          'int32',
        ) as Tensor2D,
        record: recorder(''),
        shared: new Map(),
      }
      first.forward(x, undefined, pass)
      expect(await Promise.all(first.seen.map(async (types) => [...(await read(types))]))).toEqual([[1], [2], [5, 6]])
      expect(pictures).toEqual([`rows.0.x 1,1,${D}`, `rows.0.x 1,1,${D}`, `rows.1.x 1,2,${D}`])
      const { y } = second.forward(x, undefined, pass)
      const tokens = mul(x, tensor3d(mask.flat(), [2, 3, 1]))
      expectClose(await read(y), await read(mul(tokens, 2)), tolerances.forward(), 'what was left, at its tokens')
    })
  })

  test('a layer that takes the mask to the device leaves it readable for those after it', async () => {
    await within(async () => {
      const gru = new MinGRU({ dModel: D, expansion: 1, h0: 'zero' }, new Rng(2))
      const model = residualStack([
        { mixer: gru as unknown as SequenceMixer },
        { mixer: segments() as unknown as SequenceMixer },
      ])
      const pass = passOf(mask, resets)
      const x = draw(9, 2, 3)
      model.forward(x, undefined, pass)
      const { y } = model.forward(x, undefined, pass)
      const [a, b] = [model.forward(span(rows(x, 0, 1), 1, 1)).y, model.forward(span(rows(x, 1, 1), 1, 2)).y]
      const found = concat([span(rows(y, 0, 1), 1, 1), span(rows(y, 1, 1), 1, 2)], 1)
      expectClose(await read(found), await read(concat([a, b], 1)), tolerances.forward(), 'outputs')
      model.dispose()
    })
  })

  test('shapes, unreadable masks and states of other rows are refused', async () => {
    await within(async () => {
      const model = new Counting(true)
      const x = draw(9, 2, 3)
      const run = (pass: Pass, state?: State) => () => model.forward(x, state as { n: number }, pass)
      expect(run(passOf([[1, 1, 1]]))).toThrow('mask or resets: expected [B=2, T=3], got [1, 3]')
      expect(run(passOf(undefined, [[1], [0]]))).toThrow('mask or resets: expected [B=2, T=3], got [2, 1]')
      // made on the device, where there is one; elsewhere reading is made to fail
      const late = matMul(ones([2, 1]), ones([1, 3])) as Tensor2D
      late.dataSync = () => {
        throw new Error('not here')
      }
      expect(run({ training: false, mask: late })).toThrow(/expected host data/)
      expect(run({ training: false }, { byRow: [{ n: 1 }] })).toThrow('state byRow: expected [B=2], got [1]')
    })
  })
})

describe('a state by rows', () => {
  test('is cut, saved, read back and compared as any other', async () => {
    await within(async () => {
      const model = segments()
      const pass = passOf([
        [1, 1, 1, 1, 1],
        [0, 0, 1, 1, 1],
        [0, 1, 1, 1, 1],
      ])
      const { state } = model.forward(draw(10, 3, 5), undefined, pass)
      const each = byRow(state)
      expect(each.length).toBe(3)
      expect(stateBytes(state)).toBe([5, 3, 4].reduce((total, length) => total + model.stateBytes(length), 0))
      expect(sliceBatch(state, 1, 1)).toBe(each[1])
      expect(byRow(sliceBatch({ layer: state }, 1, 2).layer)).toEqual([each[1], each[2]])
      const again = loadState(readStateFile(writeStateFile(await saveState(state))))
      expect(await readState(again)).toEqual(await readState(state))
      expect(byRow(detach(state)).map(({ filled }) => filled)).toEqual([1, 3, 0])
      expect(Array.from(leaves(state), ([path]) => path)).toContain('byRow.1.filled')
      const next = draw(11, 3, 2)
      expectClose(
        await read(model.forward(next, again as SegmentsState).y),
        await read(model.forward(next, state).y),
        1e-6,
        'goes on from what was read back',
      )
      model.dispose()
    })
  })
})
