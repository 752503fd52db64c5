import {
  detach,
  normal,
  type Paper,
  type Pass,
  type Recorder,
  Rng,
  type SequenceMixer,
  type State,
  sliceBatch,
  stateBytes,
  stateTensors,
  valueAndGrads,
  watch,
} from '@mneme/core-tensor'
import { concat, memory, mul, sum, type Tensor, type Tensor2D, tensor2d, tidy, zerosLike } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { describeGradients } from './gradient-laws.js'
import { inPieces, mixerSubject, modelSubject, read, readState, rows, type Subject, span, within } from './subject.js'
import { difference, expectClose, tolerances } from './tolerance.js'

/** Holds a mixer to the laws. `make` must give the same weights for the same seed. */
export function describeMixer(name: string, make: (seed: number) => SequenceMixer, dModel: number): void {
  describeSequence(mixerSubject(name, make, dModel))
}

/** Holds a paper to the laws, at its tiny configuration. */
export function describePaper(paper: Paper): void {
  const build = (seed: number) => paper.build({ ...paper.tiny, seed })
  describeSequence(modelSubject(paper.card.key, build))
}

/**
 * Some hundred times slower than the others where there is no GPU: there a law is tried once, on shorter inputs. What the
 * equations alone decide, which are the same on every backend, is asked on cpu and wasm; here whole and pieces, outputs,
 * states and gradients are held to those of cpu.
 */
const software = process.env.MNEME_BACKEND === 'webgpu'
const LENGTH = software ? 7 : 23
const SPLITS = software
  ? [[3, 4]]
  : [
      [1, 7, 2, 13],
      [16, 7],
      [5, 5, 5, 5, 3],
    ]
const CHANGES = [1, 4, 11, LENGTH - 1]
/** Padding to the left, in the middle and to the right. */
const PADDINGS = [
  [3, 0, 0],
  [0, 3, 0],
  [0, 0, 3],
  [1, 1, 1],
] as const

function describeSequence(subject: Subject): void {
  describe(`laws of ${subject.name}`, () => {
    test('shapes: any T from 1 on', async () => {
      await within(async () => {
        const model = subject.make(1)
        for (const T of [1, 2, 5, LENGTH]) {
          const x = subject.draw(new Rng(T), 2, T)
          const { y } = model.forward(x)
          expect(y.shape.slice(0, 2)).toEqual([2, T])
          expect(y.rank).toBe(3)
        }
        model.dispose()
      })
    })

    test.skipIf(software)('causality: a token changes no output before it, unless both ways are declared', async () => {
      await within(async () => {
        const model = subject.make(1)
        const x = subject.draw(new Rng(2), 1, LENGTH)
        const other = subject.draw(new Rng(3), 1, LENGTH)
        const before = model.forward(x).y
        for (const t of CHANGES) {
          const changed = concat([span(x, 0, t), span(other, t, LENGTH - t)], 1)
          const after = model.forward(changed).y
          const [actual, expected] = [await read(span(after, 0, t)), await read(span(before, 0, t))]
          if (model.traits.causal) expectClose(actual, expected, 1e-6, `outputs before ${t}`)
          else expect(difference(actual, expected).relative, `outputs before ${t} change`).toBeGreaterThan(1e-4)
        }
        model.dispose()
      })
    })

    test('split invariance: whole = pieces = steps, states too', async () => {
      await within(async () => {
        const model = subject.make(1)
        const x = subject.draw(new Rng(4), 2, LENGTH)
        if (!model.traits.causal) {
          // each call is a sequence by itself
          const [once, split] = [model.forward(x).y, inPieces(model, x, [1, LENGTH - 1]).y]
          expect(difference(await read(split), await read(once)).relative).toBeGreaterThan(1e-3)
          return model.dispose()
        }
        // where the first call decides, it is the same one for all splits, and for another it must matter
        const before = model.traits.whole ? model.forward(subject.draw(new Rng(41), 2, 3)).state : undefined
        const whole = model.forward(x, before)
        for (const sizes of software ? SPLITS : [...SPLITS, Array<number>(LENGTH).fill(1)]) {
          const pieces = inPieces(model, x, sizes, before)
          const label = `pieces of ${sizes.join(', ')}`
          expectClose(await read(pieces.y), await read(whole.y), tolerances.forward(), label)
          await expectSameState(pieces.state, whole.state, label)
        }
        if (model.traits.whole) {
          const [once, split] = [model.forward(x).y, inPieces(model, x, [1, LENGTH - 1]).y]
          expect(difference(await read(split), await read(once)).relative).toBeGreaterThan(1e-3)
        }
        model.dispose()
      })
    })

    test.skipIf(software)('batch: rows do not know of each other', async () => {
      await within(async () => {
        const model = subject.make(1)
        const x = subject.draw(new Rng(5), 3, LENGTH)
        const together = model.forward(x)
        for (const row of [0, 2]) {
          const alone = model.forward(rows(x, row, 1))
          expectClose(await read(rows(together.y, row, 1)), await read(alone.y), tolerances.forward(), `row ${row}`)
          await expectSameState(sliceBatch(together.state, row, 1), alone.state, `state of row ${row}`)
        }
        model.dispose()
      })
    })

    describePadding(subject)
    describeRaggedBatch(subject)

    test.skipIf(software)('state: the given one is unchanged and can be used again', async () => {
      await within(async () => {
        const model = subject.make(1)
        const { state } = model.forward(subject.draw(new Rng(6), 2, 7))
        const values = await readState(state)
        const x = subject.draw(new Rng(7), 2, 5)
        const once = await read(model.forward(x, state).y)
        const twice = await read(model.forward(x, state).y)
        expect(twice).toEqual(once)
        expect(await readState(state)).toEqual(values)
        model.dispose()
      })
    })

    test.skipIf(software)('recording: looking on changes no output and leaves nothing behind', async () => {
      await within(async () => {
        const model = subject.make(1)
        const x = subject.draw(new Rng(10), 1, LENGTH)
        const expected = await read(model.forward(x).y)
        const before = memory().numTensors
        const seen: Tensor[] = []
        const record: Recorder = { record: (_, value) => void seen.push(value), at: () => record }
        const y = tidy(() => {
          const onOp = ({ outputs }: { readonly outputs: object }) => void seen.push(...Object.values(outputs))
          return watch(
            { onOp, onTap: (_, value) => value },
            () => model.forward(x, undefined, { training: false, record }).y,
          )
        })
        expect(memory().numTensors - before).toBe(1)
        expect(seen.length, 'something is seen').toBeGreaterThan(0)
        expectClose(await read(y), expected, tolerances.forward(), 'outputs while recording')
        model.dispose()
      })
    })

    describeGradients(subject)

    test('stateBytes: true at every length, bounded where claimed', async () => {
      await within(async () => {
        const model = subject.make(1)
        for (const T of [1, 5, LENGTH]) {
          const { state } = model.forward(subject.draw(new Rng(T), 3, T))
          expect(stateBytes(state) / 3, `after ${T} tokens`).toBe(model.stateBytes(T))
        }
        const largest = (from: number): number =>
          Math.max(...Array.from({ length: 256 }, (_, i) => model.stateBytes(from + i)))
        if (model.traits.constantState) expect(largest(100_000)).toBe(largest(1_000))
        else expect(largest(100_000)).toBeGreaterThan(largest(1_000))
        model.dispose()
      })
    })

    test('names: pinned; values survive a save and a load exactly', async () => {
      await within(async () => {
        const model = subject.make(1)
        const names = Array.from(model.namedParameters(), ([path, v]) => `${path} [${v.shape.join(', ')}]`)
        expect(names).toMatchSnapshot()
        // values come and go by the same code on every backend, and a software GPU takes ten seconds for it
        if (process.env.MNEME_BACKEND === 'webgpu') return model.dispose()
        const other = subject.make(2)
        const x = subject.draw(new Rng(9), 1, 6)
        const expected = await read(model.forward(x).y)
        expect(await read(other.forward(x).y), 'another seed is another model').not.toEqual(expected)
        const report = other.loadStateDict(await model.stateDict())
        expect(report.missing).toEqual([])
        expect(await read(other.forward(x).y)).toEqual(expected)
        expect(() => other.loadStateDict({})).toThrow(/missing/)
        model.dispose()
        other.dispose()
      })
    })

    test('errors: a wrong shape is named with what was expected and given', async () => {
      await within(async () => {
        const model = subject.make(1)
        expect(() => model.forward(subject.misshapen())).toThrow(/forward \w+: expected \[.*\], got \[.*\]/)
        model.dispose()
      })
    })
  })
}

/** Declared padding is exact wherever it stands; undeclared padding is refused. */
function describePadding(subject: Subject): void {
  test.skipIf(software)('padding and packed documents: exact where declared, refused elsewhere', async () => {
    await within(async () => {
      const model = subject.make(1)
      const x = subject.draw(new Rng(8), 1, 12)
      const filler = subject.draw(new Rng(80), 1, 12)
      const pass = (mask?: number[], resets?: number[]): Pass => ({
        training: false,
        ...(mask && { mask: tensor2d([mask]) as Tensor2D }),
        ...(resets && { resets: tensor2d([resets]) as Tensor2D }),
      })
      if (!model.traits.padding) {
        expect(() => model.forward(x, undefined, pass(fill(12, 1)))).toThrow(/expected no/)
        expect(() => model.forward(x, undefined, pass(undefined, fill(12, 0)))).toThrow(/expected no/)
        model.dispose()
        return
      }
      const tokens = [span(x, 0, 5), span(x, 5, 4)] as const
      const real = concat([...tokens], 1)
      const warm = model.forward(subject.draw(new Rng(81), 1, 3)).state
      const alone = model.forward(real, warm)
      const next = subject.draw(new Rng(82), 1, 2)
      const after = await read(model.forward(next, alone.state).y)
      for (const [left, middle, right] of PADDINGS) {
        const parts: Tensor[] = []
        if (left > 0) parts.push(span(filler, 0, left))
        parts.push(tokens[0])
        if (middle > 0) parts.push(span(filler, 4, middle))
        parts.push(tokens[1])
        if (right > 0) parts.push(span(filler, 8, right))
        const padded = concat(parts, 1)
        const mask = [...fill(left, 0), ...fill(5, 1), ...fill(middle, 0), ...fill(4, 1), ...fill(right, 0)]
        const mixed = model.forward(padded, warm, pass(mask))
        const kept = concat([span(mixed.y, left, 5), span(mixed.y, left + 5 + middle, 4)], 1)
        const label = `padding ${left}, ${middle}, ${right}`
        expectClose(await read(kept), await read(alone.y), tolerances.forward(), label)
        expectClose(
          await read(model.forward(next, mixed.state).y),
          after,
          tolerances.forward(),
          `${label}: what follows`,
        )
      }
      // whole calls of padding before there is any token, as the short rows of a batch begin
      const before = model.forward(span(filler, 0, 3), undefined, pass(fill(3, 0)))
      const first = model.forward(concat([span(filler, 3, 2), tokens[0]], 1), before.state, pass([0, 0, ...fill(5, 1)]))
      const expected = await read(model.forward(tokens[0]).y)
      expectClose(await read(span(first.y, 2, 5)), expected, tolerances.forward(), 'padding before the first token')
      const unread = [...(await read(before.y)), ...(await read(span(first.y, 0, 2)))]
      expect(unread.every(Number.isFinite), 'outputs at padding are finite').toBe(true)
      const packed = model.forward(
        x,
        warm,
        pass(
          undefined,
          Array.from({ length: 12 }, (_, t) => (t === 5 || t === 9 ? 1 : 0)),
        ),
      )
      const documents = [
        model.forward(span(x, 0, 5), warm),
        model.forward(span(x, 5, 4)),
        model.forward(span(x, 9, 3)),
      ] as const
      const apart = concat(
        documents.map((d) => d.y),
        1,
      )
      expectClose(await read(packed.y), await read(apart), tolerances.forward(), 'packed documents')
      const continued = await read(model.forward(next, documents[2].state).y)
      expectClose(
        await read(model.forward(next, packed.state).y),
        continued,
        tolerances.forward(),
        'after packed documents',
      )
      model.dispose()
    })
  })
}

/** Two rows of unequal length, with padding and documents at places of their own: no period of either is common to both. */
const MASK = [
  [0, 0, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1],
  [1, 1, 1, 1, 1, 1, 0, 0, 1, 1, 1, 0, 0, 0],
] as const
const RESETS = [
  [0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0],
  [0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0],
] as const

/** Places of the tokens of each document of a row. */
function documentsOf(row: 0 | 1): number[][] {
  const documents: number[][] = [[]]
  for (const [t, isToken] of MASK[row].entries()) {
    if (isToken === 0) continue
    if (RESETS[row][t] === 1) documents.push([])
    documents.at(-1)?.push(t)
  }
  return documents
}

/** Outputs, what follows, and all gradients of a padded and packed batch are those of its documents, each by itself. */
function describeRaggedBatch(subject: Subject): void {
  test.skipIf(software)(
    'a padded and packed batch: as its documents run apart, gradients and the state too',
    async () => {
      await within(async () => {
        const model = subject.make(1)
        if (!model.traits.padding) return model.dispose()
        const x = subject.draw(new Rng(83), 2, 14)
        const next = subject.draw(new Rng(84), 2, 2)
        const warm = detach(model.forward(subject.draw(new Rng(85), 2, 3)).state)
        const pass: Pass = {
          training: false,
          mask: tensor2d(MASK.map((row) => [...row])) as Tensor2D,
          resets: tensor2d(RESETS.map((row) => [...row])) as Tensor2D,
        }
        const at = (of: Tensor, row: number, places: readonly number[]): Tensor =>
          concat(
            places.map((t) => span(rows(of, row, 1), t, 1)),
            1,
          )
        /** Outputs at tokens, row by row, then what follows each row. */
        const batch = (): Tensor => {
          const { y, state } = model.forward(x, warm, pass)
          const after = model.forward(next, state).y
          const read = ([0, 1] as const).map((row) =>
            concat([at(y, row, documentsOf(row).flat()), rows(after, row, 1)], 1),
          )
          return concat(read, 1)
        }
        const apart = (): Tensor => {
          const outputs: Tensor[] = []
          for (const row of [0, 1] as const) {
            let state: State = sliceBatch(warm, row, 1)
            for (const [n, places] of documentsOf(row).entries()) {
              const mixed = model.forward(at(x, row, places), n === 0 ? state : undefined)
              outputs.push(mixed.y)
              state = mixed.state
            }
            outputs.push(model.forward(rows(next, row, 1), state).y)
          }
          return concat(outputs, 1)
        }
        expectClose(await read(batch()), await read(apart()), tolerances.forward(), 'outputs')
        const rng = new Rng(86)
        const [weights, variables] = [normal(rng, batch().shape, 1), model.parameters().filter((v) => v.trainable)]
        const leaves = stateTensors(warm).filter((t) => t.dtype === 'float32')
        const slopes = (f: () => Tensor) => valueAndGrads(() => sum(mul(f(), weights)), [...variables, ...leaves]).grads
        const [together, alone] = [slopes(batch), slopes(apart)]
        for (const [i, expected] of alone.entries()) {
          const name = i < variables.length ? `gradient of parameter ${i}` : `gradient of state ${i - variables.length}`
          const like = (variables[i] ?? leaves[i - variables.length]) as Tensor
          const values = (g: Tensor | null | undefined) => read(g ?? zerosLike(like))
          expectClose(await values(together[i]), await values(expected), tolerances.gradient(), name)
        }
        model.dispose()
      })
    },
  )
}

const fill = (count: number, value: number): number[] => Array<number>(count).fill(value)

async function expectSameState(actual: State, expected: State, label: string): Promise<void> {
  const [a, b] = [await readState(actual), await readState(expected)]
  expect(a.length, `${label}: number of state tensors`).toBe(b.length)
  const shapes = (state: State): number[][] => stateTensors(state).map((t) => t.shape)
  expect(shapes(actual), `${label}: shapes of the state`).toEqual(shapes(expected))
  for (const [i, values] of a.entries())
    expectClose(values, b[i] as Float32Array, tolerances.forward(), `${label}: state ${i}`)
}
