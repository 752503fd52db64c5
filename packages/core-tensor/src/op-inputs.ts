import { type Tensor, tensor } from '@tensorflow/tfjs-core'
import type { AnyOp, Draw, OpExample } from './op.js'
import type { Rng } from './rng.js'
import type { Dims } from './shape.js'

/** Values of one input, on no backend yet. */
export interface Drawn {
  readonly values: Float32Array | Int32Array
  readonly shape: readonly number[]
  readonly dtype: 'float32' | 'int32'
}

/** How one number is drawn; the axis `V` bounds ids. */
const numbers: Readonly<Record<Draw, (rng: Rng, V: number) => number>> = {
  normal: (rng) => rng.normal(),
  unit: (rng) => 0.02 + 0.96 * rng.uniform(),
  half: (rng) => 0.7 * rng.uniform(),
  unitVector: (rng) => rng.normal(),
  logDecay: (rng) => Math.log(0.1 + 0.9 * rng.uniform()),
  positive: (rng) => 0.05 + rng.uniform(),
  ids: (rng, V) => rng.int(0, V),
  mask: (rng) => (rng.uniform() < 0.8 ? 1 : 0),
  rare: (rng) => (rng.uniform() < 0.1 ? 1 : 0),
  few: (rng) => rng.int(0, 3),
}

/** Draws whose values are whole numbers: an op need not be smooth in them. */
export const discrete: ReadonlySet<Draw> = new Set<Draw>(['ids', 'mask', 'rare', 'few'])

/**
 * Sizes of `'B T D'` or of an optional `'?B T D'`. `'*N'` may have any shape of N values, and `'...N D'` any axes before
 * the last: here N is spread over two axes where it is even. Of several forms the first is taken.
 */
export function shapeOf(axes: string, sizes: Dims): number[] {
  const plain = axes.replace('?', '').split(' | ')[0] as string
  const size = (axis: string): number => sizes[axis] ?? Number(axis)
  if (plain.startsWith('*')) {
    const N = size(plain.slice(1))
    return N % 2 === 0 ? [2, N / 2] : [N, 1]
  }
  if (!plain.startsWith('...')) return plain.split(' ').map(size)
  const [N, ...last] = plain.slice(3).split(' ').map(size) as [number, ...number[]]
  return N % 2 === 0 ? [2, N / 2, ...last] : [N, ...last]
}

/**
 * The inputs of one example, without those that it omits. The same seed gives the same values on every backend.
 *
 * @throws TypeError for an op without its sheet, which says how they are drawn
 */
export function drawInputs(op: AnyOp, example: OpExample<unknown>, rng: Rng): Record<string, Drawn> {
  if (op.spec.examples === undefined) {
    throw new TypeError(
      `drawInputs ${op.spec.name}: expected an op with its sheet, got one without. Take it from allOps, or from described(op, sheet).`,
    )
  }
  const entries = Object.entries(op.spec.inputs as Record<string, string>)
  return Object.fromEntries(
    entries
      .filter(([name]) => !example.omit?.includes(name))
      .map(([name, axes]) => {
        const shape = shapeOf(example.forms?.[name] ?? axes, example.dims)
        return [name, drawInput(kindOf(op, name), shape, example.dims, rng)]
      }),
  )
}

/** How an input of an op is drawn: `normal` unless the op says otherwise. */
export function kindOf(op: AnyOp, input: string): Draw {
  return op.spec.draw?.[input] ?? 'normal'
}

/** Values of one kind for a tensor of a shape. */
export function drawInput(kind: Draw, shape: readonly number[], sizes: Dims, rng: Rng): Drawn {
  const length = shape.reduce((product, size) => product * size, 1)
  const draw = (): number => numbers[kind](rng, sizes.V ?? 1)
  if (kind === 'ids') return { values: Int32Array.from({ length }, draw), shape, dtype: 'int32' }
  const values = Float32Array.from({ length }, draw)
  if (kind === 'unitVector') normalise(values, shape.at(-1) ?? 1)
  return { values, shape, dtype: 'float32' }
}

function normalise(values: Float32Array, width: number): void {
  for (let begin = 0; begin < values.length; begin += width) {
    const row = values.subarray(begin, begin + width)
    const length = Math.sqrt(row.reduce((total, x) => total + x * x, 0))
    for (let i = 0; i < width; i++) row[i] = (row[i] as number) / length
  }
}

/** How many numbers an example's inputs hold. */
export function exampleSize(op: AnyOp, { dims, omit, forms }: OpExample<unknown>): number {
  return Object.entries(op.spec.inputs as Record<string, string>)
    .filter(([name]) => !omit?.includes(name))
    .map(([name, axes]) => shapeOf(forms?.[name] ?? axes, dims))
    .reduce((total, shape) => total + shape.reduce((product, size) => product * size, 1), 0)
}

/** Puts drawn inputs on the current backend. */
export function toTensors(drawn: Readonly<Record<string, Drawn>>): Record<string, Tensor> {
  return Object.fromEntries(
    Object.entries(drawn).map(([name, { values, shape, dtype }]) => [name, tensor(values, [...shape], dtype)]),
  )
}
