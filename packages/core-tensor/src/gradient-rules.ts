import {
  add,
  backend_util,
  cast,
  clone,
  cos,
  cumsum,
  div,
  equal,
  exp,
  gather,
  greater,
  greaterEqual,
  less,
  lessEqual,
  log,
  logicalAnd,
  matMul,
  mul,
  neg,
  onesLike,
  pad,
  pow,
  reshape,
  reverse,
  sigmoid,
  sin,
  slice,
  split,
  square,
  step,
  sub,
  sum,
  type Tensor,
  transpose,
  unsortedSegmentSum,
  unstack,
  util,
  where,
  zeros,
  zerosLike,
} from '@tensorflow/tfjs-core'

type Saved = readonly Tensor[]
export type Attrs = Readonly<Record<string, unknown>>
type Closures = Record<string, () => Tensor>
/** How gradients flow back through one tfjs kernel. */
export interface Rule {
  readonly save?: readonly string[]
  readonly saveOutput?: boolean
  grads(dy: Tensor, saved: Saved, attrs: Attrs): Closures
}

/** Sums `grad` over the axes that broadcasting added, so that it has `shape` again. */
function unbroadcast(grad: Tensor, shape: readonly number[]): Tensor {
  const axes = backend_util.getReductionAxes([...shape], grad.shape)
  const summed = axes.length > 0 ? sum(grad, axes) : grad
  return reshape(summed, [...shape])
}

const unary = (derivative: (dy: Tensor, x: Tensor) => Tensor): Rule => ({
  save: ['x'],
  grads: (dy, [x]) => ({ x: () => derivative(dy, x as Tensor) }),
})
const fromOutput = (derivative: (dy: Tensor, y: Tensor) => Tensor, input = 'x'): Rule => ({
  saveOutput: true,
  grads: (dy, [y]) => ({ [input]: () => derivative(dy, y as Tensor) }),
})
const binary = (
  da: (dy: Tensor, a: Tensor, b: Tensor) => Tensor,
  db: (dy: Tensor, a: Tensor, b: Tensor) => Tensor,
): Rule => ({
  save: ['a', 'b'],
  grads: (dy, saved) => {
    const [a, b] = saved as [Tensor, Tensor]
    return { a: () => unbroadcast(da(dy, a, b), a.shape), b: () => unbroadcast(db(dy, a, b), b.shape) }
  },
})
const masked = (dy: Tensor, condition: Tensor): Tensor => mul(dy, cast(condition, 'float32'))

function spread(dy: Tensor, x: Tensor, axis: unknown): Tensor {
  const axes = util.parseAxisParam(axis as number[], x.shape)
  const kept = x.shape.map((size, i) => (axes.includes(i) ? 1 : size))
  return mul(reshape(dy, kept), onesLike(x))
}

/** Sums the copies along one axis; axes are folded around it, since webgpu has at most six. */
function untiled(dy: Tensor, size: number, times: number, axis: number): Tensor {
  if (times === 1) return dy
  const before = dy.shape.slice(0, axis)
  const after = dy.shape.slice(axis + 1)
  const copies = reshape(dy, [util.sizeFromShape(before), times, size, util.sizeFromShape(after)])
  return reshape(sum(copies, 1), [...before, size, ...after])
}

/** Gradient of max and min: to the extremal entries (to each of equal ones, as tfjs has it). */
const extremum: Rule = {
  save: ['x'],
  saveOutput: true,
  grads: (dy, saved, attrs) => {
    const [x, y] = saved as [Tensor, Tensor]
    const axes = util.parseAxisParam((attrs.reductionIndices ?? attrs.axis) as number[], x.shape)
    const kept = x.shape.map((size, i) => (axes.includes(i) ? 1 : size))
    return { x: () => masked(mul(reshape(dy, kept), onesLike(x)), equal(x, reshape(y, kept))) }
  },
}

const matMulRule: Rule = {
  save: ['a', 'b'],
  grads: (dy, saved, { transposeA, transposeB }) => {
    const [a, b] = saved as [Tensor, Tensor]
    const da = (): Tensor => (transposeA ? matMul(b, dy, Boolean(transposeB), true) : matMul(dy, b, false, !transposeB))
    const db = (): Tensor => (transposeB ? matMul(dy, a, true, Boolean(transposeA)) : matMul(a, dy, !transposeA, false))
    return { a: () => unbatch(da(), a.shape), b: () => unbatch(db(), b.shape) }
  },
}

/** tfjs broadcasts batch axes of size 1 in batched products. */
function unbatch(grad: Tensor, shape: readonly number[]): Tensor {
  return util.arraysEqual(grad.shape, [...shape]) ? grad : unbroadcast(grad, shape)
}

/** Constant almost everywhere: comparisons, steps, copies of a shape. */
const flat = (...inputs: string[]): Rule => ({
  save: inputs,
  grads: (_dy, saved) => Object.fromEntries(inputs.map((name, i) => [name, () => zeros((saved[i] as Tensor).shape)])),
})

/** Gradient of each tfjs kernel that this project is written in, by its name. */
export const rules: Readonly<Record<string, Rule>> = {
  ...Object.fromEntries(['OnesLike', 'ZerosLike', 'Step', 'Sign', 'Floor', 'Round'].map((name) => [name, flat('x')])),
  ...Object.fromEntries(
    ['Greater', 'GreaterEqual', 'Less', 'LessEqual', 'Equal', 'NotEqual', 'LogicalAnd', 'LogicalOr'].map((name) => [
      name,
      flat('a', 'b'),
    ]),
  ),
  Abs: unary((dy, x) => mul(dy, sub(cast(greater(x, 0), 'float32'), cast(less(x, 0), 'float32')))),
  Add: {
    save: ['a', 'b'],
    grads: (dy, saved) => {
      const [a, b] = saved as [Tensor, Tensor]
      return { a: () => unbroadcast(dy, a.shape), b: () => unbroadcast(dy, b.shape) }
    },
  },
  Sub: binary(
    (dy) => dy,
    (dy) => neg(dy),
  ),
  Multiply: binary(
    (dy, _a, b) => mul(dy, b),
    (dy, a) => mul(dy, a),
  ),
  RealDiv: binary(
    (dy, _a, b) => div(dy, b),
    (dy, a, b) => neg(div(mul(dy, a), square(b))),
  ),
  Maximum: binary(
    (dy, a, b) => masked(dy, greaterEqual(a, b)),
    (dy, a, b) => masked(dy, less(a, b)),
  ),
  Minimum: binary(
    (dy, a, b) => masked(dy, lessEqual(a, b)),
    (dy, a, b) => masked(dy, greater(a, b)),
  ),
  SquaredDifference: binary(
    (dy, a, b) => mul(dy, mul(2, sub(a, b))),
    (dy, a, b) => mul(dy, mul(2, sub(b, a))),
  ),
  Neg: { grads: (dy) => ({ x: () => neg(dy) }) },
  Identity: { grads: (dy) => ({ x: () => clone(dy) }) },
  Cast: { grads: (dy) => ({ x: () => cast(dy, 'float32') }) },
  Square: unary((dy, x) => mul(dy, mul(x, 2))),
  Sqrt: fromOutput((dy, y) => div(dy, mul(y, 2))),
  Rsqrt: fromOutput((dy, y) => mul(dy, mul(-0.5, mul(y, square(y))))),
  Reciprocal: fromOutput((dy, y) => neg(mul(dy, square(y)))),
  Exp: fromOutput((dy, y) => mul(dy, y)),
  Expm1: fromOutput((dy, y) => mul(dy, add(y, 1))),
  Log: unary((dy, x) => div(dy, x)),
  Log1p: unary((dy, x) => div(dy, add(x, 1))),
  Sigmoid: fromOutput((dy, y) => mul(dy, mul(y, sub(1, y)))),
  Tanh: fromOutput((dy, y) => mul(dy, sub(1, square(y)))),
  Softplus: unary((dy, x) => mul(dy, sigmoid(x))),
  ClipByValue: {
    save: ['x'],
    grads: (dy, saved, { clipValueMin, clipValueMax }) => {
      const x = saved[0] as Tensor
      const inside = logicalAnd(greaterEqual(x, clipValueMin as number), lessEqual(x, clipValueMax as number))
      return { x: () => masked(dy, inside) }
    },
  },
  Relu: unary((dy, x) => mul(dy, cast(step(x), 'float32'))),
  Elu: fromOutput((dy, y) => mul(dy, where(greater(y, 0), onesLike(y), add(y, 1)))),
  Erf: unary((dy, x) => mul(dy, mul(2 / Math.sqrt(Math.PI), exp(neg(square(x)))))),
  Sin: unary((dy, x) => mul(dy, cos(x))),
  Cos: unary((dy, x) => neg(mul(dy, sin(x)))),
  Pow: {
    save: ['a', 'b'],
    saveOutput: true,
    grads: (dy, saved) => {
      const [a, b, y] = saved as [Tensor, Tensor, Tensor]
      return {
        a: () => unbroadcast(mul(dy, mul(b, pow(a, sub(b, 1)))), a.shape),
        b: () => unbroadcast(mul(dy, mul(y, where(greater(a, 0), log(a), zerosLike(a)))), b.shape),
      }
    },
  },
  Sum: {
    save: ['x'],
    grads: (dy, [x], { axis }) => ({ x: () => spread(dy, x as Tensor, axis) }),
  },
  Mean: {
    save: ['x'],
    grads: (dy, saved, { axis }) => {
      const x = saved[0] as Tensor
      const axes = util.parseAxisParam(axis as number[], x.shape)
      const count = util.sizeFromShape(axes.map((i) => x.shape[i] as number))
      return { x: () => div(spread(dy, x, axes), count) }
    },
  },
  Max: extremum,
  Min: extremum,
  Softmax: {
    saveOutput: true,
    grads: (dy, saved, { dim }) => {
      const y = saved[0] as Tensor
      const weighted = mul(dy, y)
      return { logits: () => sub(weighted, mul(sum(weighted, [dim as number], true), y)) }
    },
  },
  // tfjs-core transposes this one off the last axis; and tfjs's webgpu sums from the end wrongly, with the shader of
  // another length, so the sequence is turned round instead
  Cumsum: {
    grads: (dy, _saved, { axis, exclusive, reverse: reversed }) => ({
      x: () => {
        const along = axis as number
        if (reversed) return cumsum(dy, along, exclusive as boolean)
        return reverse(cumsum(reverse(dy, along), along, exclusive as boolean), along)
      },
    }),
  },
  Reshape: { save: ['x'], grads: (dy, [x]) => ({ x: () => reshape(dy, (x as Tensor).shape) }) },
  ExpandDims: { save: ['input'], grads: (dy, [x]) => ({ input: () => reshape(dy, (x as Tensor).shape) }) },
  Transpose: {
    grads: (dy, _saved, { perm }) => ({
      x: () => transpose(dy, backend_util.getUndoAxesPermutation(perm as number[])),
    }),
  },
  Reverse: { grads: (dy, _saved, attrs) => ({ x: () => reverse(dy, attrs.dims as number[]) }) },
  Slice: {
    save: ['x'],
    grads: (dy, saved, attrs) => {
      const x = saved[0] as Tensor
      const [begin, size] = parseSlice(x, attrs)
      const paddings = begin.map((b, i): [number, number] => [b, (x.shape[i] as number) - b - (size[i] as number)])
      return { x: () => pad(dy, paddings) }
    },
  },
  PadV2: {
    save: ['x'],
    grads: (dy, saved, { paddings }) => {
      const begin = (paddings as number[][]).map((p) => p[0] as number)
      return { x: () => slice(dy, begin, (saved[0] as Tensor).shape) }
    },
  },
  Tile: {
    save: ['x'],
    grads: (dy, saved, { reps }) => {
      const x = saved[0] as Tensor
      return {
        x: () =>
          (reps as number[]).reduce((sum, times, axis) => untiled(sum, x.shape[axis] as number, times, axis), dy),
      }
    },
  },
  Concat: {
    save: ['*'],
    grads: (dy, saved, attrs) => {
      const axis = util.parseAxisParam(attrs.axis as number, (saved[0] as Tensor).shape)[0] as number
      const parts = split(
        dy,
        saved.map((t) => t.shape[axis] as number),
        axis,
      )
      return Object.fromEntries(parts.map((part, i) => [i, () => part.clone()]))
    },
  },
  Pack: {
    grads: (dy, _saved, { axis }) => {
      const parts = unstack(dy, axis as number)
      return Object.fromEntries(parts.map((part, i) => [i, () => part.clone()]))
    },
  },
  UnsortedSegmentSum: {
    save: ['segmentIds'],
    grads: (dy, [ids]) => ({ x: () => gather(dy, ids as Tensor) }),
  },
  BatchMatMul: matMulRule,
  Select: {
    save: ['condition'],
    grads: (dy, saved) => {
      const condition = cast(saved[0] as Tensor, 'float32')
      return {
        condition: () => zerosLike(condition),
        t: () => mul(dy, condition),
        e: () => mul(dy, sub(1, condition)),
      }
    },
  },
  GatherV2: {
    save: ['x', 'indices'],
    grads: (dy, saved, { axis }) => {
      const [x, indices] = saved as [Tensor, Tensor]
      const at = util.parseAxisParam(axis as number, x.shape)[0] as number
      return { x: () => scatterRows(dy, indices, x, at) }
    },
  },
}

/** dy has the axes of x with axis `at` replaced by those of `indices`; rows of equal index add up. */
function scatterRows(dy: Tensor, indices: Tensor, x: Tensor, at: number): Tensor {
  const before = x.shape.slice(0, at)
  const after = x.shape.slice(at + 1)
  const rows = reshape(dy, [util.sizeFromShape(before), indices.size, util.sizeFromShape(after)])
  const first = reshape(transpose(rows, [1, 0, 2]), [indices.size, -1])
  const summed = unsortedSegmentSum(first, reshape(cast(indices, 'int32'), [-1]) as never, x.shape[at] as number)
  const restored = transpose(
    reshape(summed, [x.shape[at] as number, ...rows.shape.slice(0, 1), rows.shape[2] as number]),
    [1, 0, 2],
  )
  return reshape(restored, x.shape)
}

function parseSlice(x: Tensor, attrs: Attrs): [number[], number[]] {
  const begin = attrs.begin as number | number[]
  const size = attrs.size as number | number[] | undefined
  const starts = x.shape.map((_, i) => (typeof begin === 'number' ? (i === 0 ? begin : 0) : (begin[i] ?? 0)))
  const sizes = x.shape.map((full, i) => {
    const asked = typeof size === 'number' ? (i === 0 ? size : -1) : (size?.[i] ?? -1)
    return asked < 0 ? full - (starts[i] as number) : asked
  })
  return [starts, sizes]
}
