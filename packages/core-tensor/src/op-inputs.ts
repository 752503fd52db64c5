import { type Tensor, tensor } from '@tensorflow/tfjs-core'
import type { AnyOp, Draw, OpExample } from './op.js'
import type { Rng } from './rng.js'
import type { Dims } from './shape.js'

/** An input as plain values, so that the same ones can be put on several backends. */
export interface PlainInput {
  readonly shape: readonly number[]
  readonly values: Float32Array | Int32Array
}

/** Shape of an input or output with the given axes: `'?B T D'`, `'*N'`. */
export function shapeOf(axes: string, sizes: Dims): number[] {
  return axes
    .replace(/^[?*]+/, '')
    .split(' ')
    .map((axis) => {
      const size = sizes[axis] ?? Number(axis)
      if (Number.isNaN(size)) throw new RangeError(`shapeOf '${axes}': expected a size for ${axis}, got none.`)
      return size
    })
}

/** Elements of the largest input of an example. */
export function exampleSize(op: AnyOp, example: OpExample<unknown>): number {
  const sizes = Object.values(op.spec.inputs).map((axes) => shapeOf(axes, example.dims).reduce((a, b) => a * b, 1))
  return Math.max(...sizes)
}

/** Draws every input of an example as its op says. */
export function drawInputs(op: AnyOp, { dims, omit = [] }: OpExample<unknown>, rng: Rng): Record<string, PlainInput> {
  const kinds = (op.spec.draw ?? {}) as Readonly<Record<string, Draw | undefined>>
  const names = Object.keys(op.spec.inputs).filter((name) => !omit.includes(name))
  return Object.fromEntries(
    names.map((name) => [name, drawInput(kinds[name] ?? 'normal', shapeOf(op.spec.inputs[name] as string, dims), dims, rng)]),
  )
}

function drawInput(kind: Draw, shape: readonly number[], dims: Dims, rng: Rng): PlainInput {
  const length = shape.reduce((a, b) => a * b, 1)
  if (kind === 'ids') return { shape, values: Int32Array.from({ length }, () => rng.int(0, dims.V ?? 2)) }
  const values = Float32Array.from({ length }, () => drawNumber(kind, rng))
  if (kind === 'unitVector') toUnitLength(values, shape.at(-1) ?? 1)
  return { shape, values }
}

function drawNumber(kind: Draw, rng: Rng): number {
  switch (kind) {
    case 'unit':
      return 0.02 + 0.96 * rng.uniform()
    case 'logDecay':
      return -4 * rng.uniform() ** 3
    case 'positive':
      return 0.1 + rng.uniform()
    case 'mask':
      return rng.uniform() < 0.8 ? 1 : 0
    case 'rare':
      return rng.uniform() < 0.1 ? 1 : 0
    case 'few':
      return rng.int(0, 2)
    default:
      return rng.normal()
  }
}

function toUnitLength(values: Float32Array, width: number): void {
  for (let start = 0; start < values.length; start += width) {
    const row = values.subarray(start, start + width)
    const length = Math.sqrt(row.reduce((total, v) => total + v * v, 0)) || 1
    for (let i = 0; i < row.length; i++) row[i] = (row[i] as number) / length
  }
}

/** Puts plain inputs on the current backend. */
export function toTensors(inputs: Readonly<Record<string, PlainInput>>): Record<string, Tensor> {
  return Object.fromEntries(
    Object.entries(inputs).map(([name, { shape, values }]) => [
      name,
      tensor(values, [...shape], values instanceof Int32Array ? 'int32' : 'float32'),
    ]),
  )
}
