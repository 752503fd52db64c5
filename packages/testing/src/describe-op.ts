import {
  type AnyOp,
  type Drawn,
  discrete,
  drawInput,
  drawInputs,
  exampleSize,
  kindOf,
  type Op,
  type OpExample,
  Rng,
  shapeOf,
  type Tensors,
  toTensors,
  vjp,
} from '@mneme/core-tensor'
import { engine, fill, memory, type Tensor, tensor, tidy, zeros } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { onBackend, read, within } from './subject.js'
import { expectClose, tolerances } from './tolerance.js'

/** Examples with more numbers than this in their inputs are for benches; on a software GPU all but the small are. */
const LARGEST = process.env.MNEME_BACKEND === 'webgpu' ? 2_000 : 100_000
/** The second order differentiates the reference twice. */
const LARGEST_TWICE = process.env.MNEME_BACKEND === 'webgpu' ? 200 : 3_000

type Attrs = Record<string, unknown>
type Example = OpExample<Attrs>
type Results = Readonly<Record<string, Float32Array>>

/**
 * Holds an op, on the backend that is current when the tests run, to its own specification: outputs, gradients and
 * second-order gradients equal those of the reference on the cpu backend; gradients are slopes; nothing leaks, nothing
 * is overwritten or left unwritten; wrong inputs are named. Examples are those of the op. An op whose `gradient` gives
 * nothing is held to the forward laws only.
 */
export function describeOp<I extends object, A extends object, O extends object>(typed: Op<I, A, O>): void {
  const op = typed as unknown as AnyOp
  const examples = op.spec.examples.filter((example) => exampleSize(op, example) <= LARGEST)
  const smallest = [...examples].sort((a, b) => exampleSize(op, a) - exampleSize(op, b))[0] as Example

  describe(`laws of the op ${op.spec.name}`, () => {
    for (const example of examples) describeExample(op, example, smallest)

    test('gradients are slopes', () => within(() => expectSlopes(op, smallest)))
    test('no tensor is left behind, and inputs stay as they are', () => within(() => expectClean(op, smallest)))
    test('sizes do not know of each other', () => within(() => expectIndependent(op, examples)))
    test('errors name the op and the input', () => within(async () => expectErrors(op, smallest)))
  })
}

function describeExample(op: AnyOp, example: Example, smallest: Example): void {
  const said = { ...example.dims, ...example.attrs, ...example.forms }
  const label = Object.entries(said).map(([key, value]) => `${key}=${value}`)
  const without = example.omit === undefined ? '' : ` without ${example.omit.join(', ')}`
  describe(`${label.join(' ')}${without}`, () => {
    test('outputs: as the reference on cpu, of the declared shapes', () =>
      within(async () => {
        const drawn = drawInputs(op, example, new Rng(1))
        poison(op, example, drawn)
        const outputs = op(toTensors(drawn), attrsOf(example))
        expectShapes(op, example, outputs)
        const expected = await onBackend('cpu', () =>
          readAll(op.spec.reference(toTensors(drawn), attributes(op, example))),
        )
        expectAll(await readAll(outputs), expected, tolerances.forward(), '')
      }))

    test('gradients: as those of the reference on cpu', () =>
      within(async () => {
        const names = differentiable(op, smallest).filter((name) => !example.omit?.includes(name))
        if (names.length === 0) return
        const drawn = drawInputs(op, example, new Rng(2))
        const cotangents = drawCotangents(op, example, new Rng(3))
        poison(op, example, drawn)
        const actual = await readAll(gradients(kernelOf(op, example), drawn, cotangents, names))
        const expected = await onBackend('cpu', () =>
          readAll(gradients(referenceOf(op, example), drawn, cotangents, names)),
        )
        expectAll(actual, expected, tolerances.gradient(), 'gradient of ')
      }))

    test.runIf(exampleSize(op, example) <= LARGEST_TWICE)(
      'second-order gradients: as those of the reference on cpu',
      () =>
        within(async () => {
          const names = differentiable(op, smallest).filter((name) => !example.omit?.includes(name))
          if (names.length === 0) return
          const drawn = drawInputs(op, example, new Rng(4))
          const cotangents = drawCotangents(op, example, new Rng(5))
          const actual = await readAll(secondOrder(kernelOf(op, example), drawn, cotangents, names))
          const expected = await onBackend('cpu', () =>
            readAll(secondOrder(referenceOf(op, example), drawn, cotangents, names)),
          )
          expectAll(actual, expected, tolerances.gradient(), 'second-order gradient of ')
        }),
    )
  })
}

type Forward = (inputs: Tensors) => Tensors

const attrsOf = (example: Example): Attrs => ({ ...example.attrs })
const attributes = (op: AnyOp, example: Example): Attrs => ({ ...op.spec.attrs, ...example.attrs })
const kernelOf =
  (op: AnyOp, example: Example): Forward =>
  (inputs) =>
    op(inputs, attrsOf(example))
const referenceOf =
  (op: AnyOp, example: Example): Forward =>
  (inputs) =>
    op.spec.reference(inputs, attributes(op, example))

async function readAll(outputs: Tensors): Promise<Results> {
  const entries = Object.entries(outputs) as [string, Tensor][]
  return Object.fromEntries(await Promise.all(entries.map(async ([name, t]) => [name, await read(t)] as const)))
}

function expectAll(actual: Results, expected: Results, limit: number, what: string): void {
  expect(Object.keys(actual)).toEqual(Object.keys(expected))
  for (const [name, values] of Object.entries(expected)) {
    expectClose(actual[name] as Float32Array, values, limit, `${what}${name}`)
  }
}

function expectShapes(op: AnyOp, { dims }: Example, outputs: Tensors): void {
  const declared = Object.entries(op.spec.outputs as Record<string, string>)
  expect(Object.keys(outputs)).toEqual(declared.map(([name]) => name))
  for (const [name, axes] of declared) expect(outputs[name]?.shape, name).toEqual(shapeOf(axes, dims))
}

/** The inputs that the op's own gradient speaks of; none for an op without a gradient. */
function differentiable(op: AnyOp, example: Example): string[] {
  const full = { ...example, omit: [] }
  const inputs = toTensors(drawInputs(op, full, new Rng(0)))
  const attrs = attributes(op, full)
  const outputs = op(inputs, attrsOf(full))
  const dys = toTensors(drawCotangents(op, full, new Rng(0)))
  const grads = op.spec.gradient(dys as Required<Tensors>, inputs, outputs, attrs)
  return Object.keys(inputs).filter((name) => grads[name] !== undefined)
}

function drawCotangents(op: AnyOp, { dims }: Example, rng: Rng): Record<string, Drawn> {
  return Object.fromEntries(
    Object.entries(op.spec.outputs as Record<string, string>).map(([name, axes]) => [
      name,
      drawInput('normal', shapeOf(axes, dims), dims, rng),
    ]),
  )
}

function gradients(
  forward: Forward,
  drawn: Readonly<Record<string, Drawn>>,
  cotangents: Readonly<Record<string, Drawn>>,
  names: readonly string[],
): Record<string, Tensor> {
  const inputs = toTensors(drawn)
  const dys = toTensors(cotangents)
  return named(names, firstOrder(forward, inputs, dys, names))
}

function firstOrder(
  forward: Forward,
  inputs: Record<string, Tensor>,
  dys: Record<string, Tensor>,
  names: readonly string[],
): Tensor[] {
  return vjp(
    () => {
      const outputs = forward(inputs)
      return Object.keys(dys).map((name) => outputs[name] as Tensor)
    },
    names.map((name) => inputs[name] as Tensor),
    Object.values(dys),
  )
}

/** Gradients of <first-order gradients, random directions>, by the inputs and by the cotangents. */
function secondOrder(
  forward: Forward,
  drawn: Readonly<Record<string, Drawn>>,
  cotangents: Readonly<Record<string, Drawn>>,
  names: readonly string[],
): Record<string, Tensor> {
  const inputs = toTensors(drawn)
  const dys = toTensors(cotangents)
  const rng = new Rng(6)
  const directions = toTensors(
    Object.fromEntries(names.map((name) => [name, drawInput('normal', (drawn[name] as Drawn).shape, {}, rng)])),
  )
  const seconds = vjp(
    () => firstOrder(forward, inputs, dys, names),
    [...names.map((name) => inputs[name] as Tensor), ...Object.values(dys)],
    Object.values(directions),
  )
  return named([...names, ...Object.keys(dys).map((name) => `the cotangent of ${name}`)], seconds)
}

function named(names: readonly string[], values: readonly Tensor[]): Record<string, Tensor> {
  return Object.fromEntries(names.map((name, i) => [name, values[i] as Tensor]))
}

/** Leaves NaN in freed memory of just the sizes that the op will ask for, so that an unwritten output shows. */
function poison(op: AnyOp, { dims }: Example, drawn: Readonly<Record<string, Drawn>>): void {
  const shapes = [
    ...Object.values(drawn).map(({ shape }) => [...shape]),
    ...Object.values(op.spec.outputs as Record<string, string>).map((axes) => shapeOf(axes, dims)),
  ]
  const poisoned = [...shapes, ...shapes].map((shape) => fill(shape, Number.NaN))
  for (const t of poisoned) t.dispose()
}

/** Slopes along one random direction an input, by a four-point difference summed in float64. */
async function expectSlopes(op: AnyOp, example: Example): Promise<void> {
  const drawn = drawInputs(op, example, new Rng(7))
  const cotangents = drawCotangents(op, example, new Rng(8))
  const names = differentiable(op, example).filter(
    (name) => name in drawn && !discrete.has(kindOf(op, name)) && drawn[name]?.dtype === 'float32',
  )
  if (names.length === 0) return
  const grads = await readAll(gradients(kernelOf(op, example), drawn, cotangents, names))
  const loss = async (changed: Readonly<Record<string, Drawn>>): Promise<number> => {
    const outputs = await readAll(op(toTensors(changed), attrsOf(example)))
    return Object.entries(cotangents).reduce((total, [name, { values }]) => total + dot(outputs[name], values), 0)
  }
  for (const name of names) {
    const rng = new Rng(9)
    const input = drawn[name] as Drawn
    const direction = Float32Array.from(input.values, () => rng.normal())
    const at = (distance: number): Promise<number> =>
      loss({
        ...drawn,
        [name]: { ...input, values: input.values.map((x, i) => x + distance * (direction[i] as number)) },
      })
    const h = 4e-3
    const slope = (8 * ((await at(h)) - (await at(-h))) - ((await at(2 * h)) - (await at(-2 * h)))) / (12 * h)
    const g = grads[name] as Float32Array
    // float32 outputs put the slope off by about 1e-7 / h of the loss, well under a hundredth
    const allowed = 1e-2 * Math.max(Math.sqrt(dot(g, g)), 1e-2)
    expect(Math.abs(slope - dot(g, direction)), `slope ${slope} by ${name}`).toBeLessThan(allowed)
  }
}

function dot(a: ArrayLike<number> | undefined, b: ArrayLike<number>): number {
  let total = 0
  for (let i = 0; i < b.length; i++) total += (a?.[i] as number) * (b[i] as number)
  return total
}

async function expectClean(op: AnyOp, example: Example): Promise<void> {
  const drawn = drawInputs(op, example, new Rng(10))
  const cotangents = toTensors(drawCotangents(op, example, new Rng(11)))
  const names = differentiable(op, example).filter((name) => name in drawn)
  const inputs = toTensors(drawn)
  const once = (): number => {
    const before = memory().numTensors
    const outputs = Object.values(op(inputs, attrsOf(example))) as Tensor[]
    expect(memory().numTensors - before, 'tensors after a call').toBe(outputs.length)
    for (const t of outputs) t.dispose()
    if (names.length > 0) tidy(() => void firstOrder(kernelOf(op, example), inputs, cotangents, names))
    expect(memory().numTensors, 'tensors after a gradient').toBe(before)
    return engine().backend.numDataIds()
  }
  const counts = [once(), once(), once()]
  expect(counts, "the backend's buffers after each round").toEqual(counts.map(() => counts[0]))
  for (const [name, { values }] of Object.entries(drawn)) {
    expect(Array.from(await read(inputs[name] as Tensor)), `${name} is unchanged`).toEqual(Array.from(values))
  }
}

/** A kernel must not keep anything of one size for another: the first example gives the same after all the others. */
async function expectIndependent(op: AnyOp, examples: readonly Example[]): Promise<void> {
  const run = (example: Example): Promise<Results> =>
    readAll(op(toTensors(drawInputs(op, example, new Rng(12))), attrsOf(example)))
  const before: Results[] = []
  for (const example of examples) before.push(await run(example))
  for (const [i, example] of [...examples.entries()].reverse()) {
    expectAll(await run(example), before[i] as Results, 1e-6, 'once more: ')
  }
}

function expectErrors(op: AnyOp, example: Example): void {
  const drawn = drawInputs(op, { ...example, omit: [] }, new Rng(13))
  const inputs = toTensors(drawn)
  for (const [name, axes] of Object.entries(op.spec.inputs as Record<string, string>)) {
    const { [name]: given, ...others } = inputs
    if (!axes.startsWith('?')) {
      const call = (): unknown => op(others, attrsOf(example))
      expect(call).toThrow(TypeError)
      expect(call).toThrow(`${op.spec.name}: input '${name}' is missing.`)
    }
    // a flat input may have any shape, one of `...N D` any axes before the last: others then say what does not fit
    const loose = /^\??(\*|\.\.\.)/.test(axes)
    if (loose && Object.keys(op.spec.inputs).length === 1) continue
    const { shape, values, dtype } = drawn[name] as Drawn
    const wrong = loose
      ? zeros([...shape.slice(0, -1), (shape.at(-1) ?? 0) + 1], dtype)
      : tensor(values, [1, ...shape], dtype)
    const call = (): unknown => op({ ...inputs, [name]: wrong }, attrsOf(example))
    expect(given, name).toBeDefined()
    expect(call).toThrow(RangeError)
    expect(call).toThrow(loose ? `${op.spec.name} ` : `${op.spec.name} ${name}: expected [`)
  }
}
