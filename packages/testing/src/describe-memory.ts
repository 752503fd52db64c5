import {
  advance,
  detach,
  disposeState,
  type Entry,
  type Memory,
  normal,
  Rng,
  type State,
  sliceBatch,
  stateBytes,
  stateTensors,
  valueAndGrads,
} from '@mneme/core-tensor'
import { add, getBackend, memory, mul, sum, type Tensor } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { onBackend, read, readState, rows, within } from './subject.js'
import { expectClose, tolerances } from './tolerance.js'

export interface MemorySubject<S extends State, E extends Entry> {
  /** A new memory; the same seed gives the same weights. */
  make(seed: number): Memory<S, E> & {
    /** Bytes of one row. */
    stateBytes(): number
  }
  /** Width of queries `[B, T, D]`. */
  readonly dModel: number
  /** What is written at a time, from vectors `[B, M, D]`. */
  entry(h: Tensor): E
}

/** Holds a memory that is read and written explicitly to the laws. `make` must give the same weights for the same seed. */
export function describeMemory<S extends State, E extends Entry>(name: string, subject: MemorySubject<S, E>): void {
  const { dModel } = subject
  const draw = (seed: number, B: number, T: number): Tensor => normal(new Rng(seed), [B, T, dModel], 1)
  /** Written twice, three entries and two. */
  const warm = (store: Memory<S, E>, B: number): S => {
    const once = store.write(store.initialState(B), subject.entry(draw(1, B, 3)))
    return store.write(once, subject.entry(draw(2, B, 2)))
  }

  describe(`laws of ${name}`, () => {
    test('shapes: a read for every query, any number of them and of entries', async () => {
      await within(async () => {
        const store = subject.make(1)
        for (const n of [1, 2, 7]) {
          const state = store.write(store.initialState(2), subject.entry(draw(n, 2, n)))
          expect(store.read(state, draw(3, 2, n)).y.shape.slice(0, 2)).toEqual([2, n])
        }
      })
    })

    test('batch: rows do not know of each other', async () => {
      await within(async () => {
        const store = subject.make(1)
        const [first, second, query] = [draw(1, 3, 3), draw(2, 3, 2), draw(3, 3, 4)]
        const run = (of: (x: Tensor) => Tensor, B: number) => {
          const once = store.write(store.initialState(B), subject.entry(of(first)))
          return store.read(store.write(once, subject.entry(of(second))), of(query))
        }
        const together = run((x) => x, 3)
        for (const row of [0, 2]) {
          const alone = run((x) => rows(x, row, 1), 1)
          expectClose(await read(rows(together.y, row, 1)), await read(alone.y), tolerances.forward(), `row ${row}`)
          const [a, b] = [await readState(sliceBatch(together.state, row, 1)), await readState(alone.state)]
          for (const [i, values] of a.entries()) {
            expectClose(values, b[i] as Float32Array, tolerances.forward(), `row ${row}, state ${i}`)
          }
        }
      })
    })

    test('state: neither reading nor writing changes the given one; both can be done again', async () => {
      await within(async () => {
        const store = subject.make(1)
        const state = warm(store, 2)
        const values = await readState(state)
        const act = async () => [
          await read(store.read(state, draw(4, 2, 3)).y),
          ...(await readState(store.write(state, subject.entry(draw(5, 2, 2))))),
        ]
        const once = await act()
        expect(await act()).toEqual(once)
        expect(await readState(state)).toEqual(values)
      })
    })

    test('gradients: every parameter and the state, finite and not zero; as on cpu', async () => {
      await within(async () => {
        const run = async () => {
          const store = subject.make(1)
          const state = detach(warm(store, 2))
          const leaves = stateTensors(state)
          const parameters = [...store.namedParameters()].filter(([, v]) => v.trainable)
          const loss = (): Tensor => {
            const from = (begin: S): Tensor => {
              const { y } = store.read(store.write(begin, subject.entry(draw(6, 2, 2))), draw(7, 2, 5))
              return sum(mul(y, normal(new Rng(8), y.shape, 1)))
            }
            return add(from(state), from(warm(store, 2)))
          }
          const { grads } = valueAndGrads(loss, [...parameters.map(([, v]) => v), ...leaves])
          const names = [...parameters.map(([path]) => path), ...leaves.map((_, i) => `state ${i}`)]
          return Promise.all(names.map(async (path, i) => ({ path, g: grads[i] ? await read(grads[i]) : null })))
        }
        const here = await run()
        for (const { path, g } of here) {
          expect(g, `${path} has a gradient`).not.toBeNull()
          expect(g?.every(Number.isFinite), `${path}: gradient is finite`).toBe(true)
          expect(
            g?.some((value) => value !== 0),
            `${path}: gradient is not zero`,
          ).toBe(true)
        }
        if (getBackend() === 'cpu') return
        await onBackend('cpu', async () => {
          for (const [i, { path, g }] of (await run()).entries()) {
            expectClose(here[i]?.g as Float32Array, g as Float32Array, tolerances.gradient(), `gradient of ${path}`)
          }
        })
      })
    })

    test('memory: no tensor is left behind by reading and writing', async () => {
      await within(async () => {
        const store = subject.make(1)
        const h = draw(9, 1, 2)
        let state: S = store.initialState(1)
        const counts: number[] = []
        for (let i = 0; i < 10; i++) {
          const next = advance(state, () => {
            const mixed = store.read(store.write(state, subject.entry(h)), h)
            return { y: mixed.y, state: mixed.state }
          })
          next.y.dispose()
          state = next.state
          counts.push(memory().numTensors - stateTensors(state).length)
        }
        disposeState(state)
        expect(counts.at(-1), `tensors after each step: ${counts.join(', ')}`).toBe(counts[1])
      })
    })

    test('stateBytes: true, however often it was written', async () => {
      await within(async () => {
        const store = subject.make(1)
        expect(stateBytes(store.initialState(3)) / 3).toBe(store.stateBytes())
        expect(stateBytes(warm(store, 3)) / 3).toBe(store.stateBytes())
      })
    })
  })
}
