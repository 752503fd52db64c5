import { read, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import {
  abs,
  add,
  cast,
  clipByValue,
  clone,
  concat,
  cos,
  cumsum,
  div,
  elu,
  equal,
  erf,
  exp,
  expandDims,
  expm1,
  floor,
  gather,
  getGradient,
  greater,
  greaterEqual,
  less,
  lessEqual,
  log,
  log1p,
  logicalAnd,
  logicalOr,
  matMul,
  max,
  maximum,
  mean,
  min,
  minimum,
  mul,
  neg,
  notEqual,
  onesLike,
  pad,
  pow,
  profile,
  reciprocal,
  registerGradient,
  relu,
  reshape,
  reverse,
  round,
  rsqrt,
  scalar,
  sigmoid,
  sign,
  sin,
  slice,
  softmax,
  softplus,
  split,
  sqrt,
  square,
  squaredDifference,
  stack,
  step,
  sub,
  sum,
  type Tensor,
  tanh,
  tensor,
  tensor1d,
  tile,
  transpose,
  unsortedSegmentSum,
  unstack,
  variable,
  where,
  zerosLike,
} from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { rules } from './gradient-rules.js'
import { registerGradients, valueAndGrads, vjp } from './gradients.js'
import { Rng } from './rng.js'

type Shape = readonly number[]

interface Case {
  readonly shapes: readonly Shape[]
  /** Whether inputs are drawn above zero. */
  readonly above?: boolean
  f(x: Tensor, y: Tensor): Tensor
}

const one = (f: (x: Tensor) => Tensor, above = false, shape: Shape = [2, 3]): Case => ({ shapes: [shape], above, f })
/** The second input is broadcast. */
const two = (f: (x: Tensor, y: Tensor) => Tensor, above = false): Case => ({
  shapes: [
    [2, 3],
    [1, 3],
  ],
  above,
  f,
})
const asNumber = (x: Tensor): Tensor => cast(x, 'float32')
const ids = tensor1d([2, 0, 2, 1], 'int32')

/** What each rule of the table is tried with, by the kernel that it is the gradient of. */
const cases: Readonly<Record<string, Case | readonly Case[]>> = {
  OnesLike: one((x) => mul(x, onesLike(x))),
  ZerosLike: one((x) => add(x, zerosLike(x))),
  Step: one((x) => mul(x, step(x))),
  Sign: one((x) => mul(x, sign(x))),
  Floor: one((x) => mul(x, floor(x))),
  Round: one((x) => mul(x, round(x))),
  Greater: two((x, y) => mul(x, asNumber(greater(x, y)))),
  GreaterEqual: two((x, y) => mul(x, asNumber(greaterEqual(x, y)))),
  Less: two((x, y) => mul(x, asNumber(less(x, y)))),
  LessEqual: two((x, y) => mul(x, asNumber(lessEqual(x, y)))),
  Equal: two((x, y) => add(x, asNumber(equal(x, y)))),
  NotEqual: two((x, y) => mul(x, asNumber(notEqual(x, y)))),
  LogicalAnd: two((x, y) => mul(x, asNumber(logicalAnd(greater(x, 0), less(y, 0))))),
  LogicalOr: two((x, y) => mul(x, asNumber(logicalOr(greater(x, 0), less(y, 0))))),
  Abs: one(abs),
  Add: two(add),
  Sub: two(sub),
  Multiply: two(mul),
  RealDiv: two(div),
  Maximum: two(maximum),
  Minimum: two(minimum),
  SquaredDifference: two(squaredDifference),
  Neg: one(neg),
  Identity: one((x) => clone(x)),
  Cast: one(asNumber),
  Square: one(square),
  Sqrt: one(sqrt, true),
  Rsqrt: one(rsqrt, true),
  Reciprocal: one(reciprocal),
  Exp: one(exp),
  Expm1: one(expm1),
  Log: one(log, true),
  Log1p: one(log1p, true),
  Sigmoid: one(sigmoid),
  Tanh: one(tanh),
  Softplus: one(softplus),
  ClipByValue: one((x) => clipByValue(x, -1, 1)),
  Relu: one(relu),
  Elu: one(elu),
  Erf: one(erf),
  Sin: one(sin),
  Cos: one(cos),
  Pow: two(pow, true),
  Sum: [one((x) => sum(x, 0)), one((x) => sum(x, [0, 2], true), false, [2, 3, 2]), one((x) => sum(x))],
  Mean: [one((x) => mean(x, 1)), one((x) => mean(x, [0, 1], true), false, [2, 3, 2])],
  Max: [one((x) => max(x, 1)), one((x) => max(x, 0, true))],
  Min: [one((x) => min(x, 0)), one((x) => min(x, 1, true))],
  Softmax: one((x) => softmax(x)),
  Cumsum: [one((x) => cumsum(x, 0)), one((x) => cumsum(x, 1, true, true))],
  Reshape: one((x) => reshape(x, [3, 2])),
  ExpandDims: one((x) => expandDims(x, 1)),
  Transpose: one((x) => transpose(x, [2, 0, 1]), false, [2, 3, 2]),
  Reverse: one((x) => reverse(x, 1)),
  Slice: one((x) => slice(x, [0, 1], [2, 2])),
  PadV2: one((x) =>
    pad(x, [
      [1, 0],
      [2, 1],
    ]),
  ),
  Tile: one((x) => tile(x, [2, 3])),
  Concat: [two((x, y) => concat([x, y, x], 0)), one((x) => concat([x, mul(x, x)], 1))],
  Pack: two((x, y) => stack([x, tile(y, [2, 1])], 1)),
  UnsortedSegmentSum: one((x) => unsortedSegmentSum(x, ids, 4), false, [4, 3]),
  BatchMatMul: [false, true].flatMap((transposeA) =>
    [false, true].map((transposeB) => ({
      shapes: [transposeA ? [2, 3, 2] : [2, 2, 3], transposeB ? [1, 4, 3] : [1, 3, 4]],
      f: (x: Tensor, y: Tensor) => matMul(x, y, transposeA, transposeB),
    })),
  ),
  Select: two((x, y) => where(greater(x, 0), x, tile(y, [2, 1]))),
  GatherV2: [one((x) => gather(x, ids, 0), false, [3, 2]), one((x) => gather(x, ids, 1), false, [2, 3, 2])],
  SplitV: one((x) => {
    const [first, second] = split(x, [1, 2], 1) as [Tensor, Tensor]
    return concat([mul(second, first), first], 1)
  }),
  Unpack: [
    one((x) => unstack(x, 1).reduce((a, b) => mul(a, b))),
    one((x) => unstack(x, 0)[0] as Tensor, false, [1, 4]),
  ],
}

/** Numbers a tenth or more away from every kink: whole numbers and halves, and those of the other input. */
function drawn(rng: Rng, shape: Shape, index: number, above: boolean): Tensor {
  const size = shape.reduce((a, b) => a * b, 1)
  const values = Float32Array.from({ length: size }, () => {
    const magnitude = rng.int(0, 2) + (index === 0 ? 0.3 : 0.65) + 0.1 * rng.uniform()
    return above || rng.uniform() < 0.5 ? magnitude : -magnitude
  })
  return tensor(values, [...shape])
}

/** Outputs and their squares, so that a linear op has a second derivative too. */
const bent = (f: Case['f'], xs: readonly Tensor[]): Tensor => {
  const y = f(xs[0] as Tensor, xs[1] as Tensor)
  return add(y, mul(y, y))
}

/** Products of gradients with a direction, against a four-point difference along it, summed in float64. */
async function expectSlope(f: (xs: readonly Tensor[]) => Tensor, xs: readonly Tensor[], label: string): Promise<void> {
  const rng = new Rng(7)
  const normal = (like: Tensor): Tensor =>
    tensor(
      Float32Array.from({ length: like.size }, () => rng.normal()),
      like.shape,
    )
  const weights = normal(f(xs))
  const directions = xs.map(normal)
  const grads = vjp(() => [f(xs)], xs, [weights])
  const w = await read(weights)
  const value = async (h: number): Promise<number> => {
    const y = await read(f(xs.map((x, i) => add(x, mul(directions[i] as Tensor, h)))))
    return y.reduce((total, v, i) => total + v * (w[i] as number), 0)
  }
  const h = 4e-3
  const near = (await value(h)) - (await value(-h))
  const far = (await value(2 * h)) - (await value(-2 * h))
  const slope = (8 * near - far) / (12 * h)
  let [expected, squares] = [0, 0]
  for (const [i, g] of grads.entries()) {
    const [values, direction] = [await read(g), await read(directions[i] as Tensor)]
    for (const [n, v] of values.entries()) {
      expected += v * (direction[n] as number)
      squares += v * v
    }
  }
  const gap = Math.abs(slope - expected)
  expect(gap, `${label}: slope ${slope}, gradient says ${expected}`).toBeLessThan(
    1e-3 * Math.max(1, Math.sqrt(squares)),
  )
}

describe('rules of gradients', () => {
  test('every rule is tried here', () => {
    registerGradients()
    expect(Object.keys(cases).sort()).toEqual([...Object.keys(rules), 'SplitV', 'Unpack'].sort())
    for (const name of Object.keys(cases)) expect(getGradient(name), name).toBeDefined()
  })

  for (const [kernel, given] of Object.entries(cases)) {
    for (const [i, { shapes, above = false, f }] of [given].flat().entries()) {
      const label = `${kernel}${Array.isArray(given) ? `, form ${i + 1}` : ''}`
      test(`${label}: gradients of the first and second order are slopes`, async () => {
        await within(async () => {
          const rng = new Rng(3)
          const xs = shapes.map((shape, index) => drawn(rng, shape, index, above))
          const { kernelNames } = await profile(() => bent(f, xs))
          expect(kernelNames).toContain(kernel)
          const once = (inputs: readonly Tensor[]): Tensor => bent(f, inputs)
          await expectSlope(once, xs, 'first order')
          const cotangent = onesLike(once(xs))
          const twice = (inputs: readonly Tensor[]): Tensor => {
            const grads = vjp(() => [once(inputs)], inputs, [cotangent])
            return concat(
              grads.map((g) => reshape(g, [-1])),
              0,
            )
          }
          await expectSlope(twice, xs, 'second order')
        })
      })
    }
  }
})

describe('cumsum', () => {
  const shape = [2, 3, 4] as const
  const flags = [false, true].flatMap((exclusive) => [false, true].map((reversed) => [exclusive, reversed] as const))
  const all = [0, 1, 2].flatMap((axis) => flags.map(([exclusive, reversed]) => [axis, exclusive, reversed] as const))

  test.each(all)(
    'axis %i, exclusive %s, reverse %s: an entry gets what it was added into',
    async (axis, exclusive, reversed) => {
      await within(async () => {
        const rng = new Rng(1)
        const values = Float32Array.from({ length: 24 }, () => rng.normal())
        const [x, c] = [tensor(values, [...shape]), tensor(values.slice().reverse(), [...shape])]
        const [grad] = vjp(() => [cumsum(x, axis, exclusive, reversed)], [x], [c]) as [Tensor]
        const weights = await read(c)
        const stride = shape.slice(axis + 1).reduce((a, b) => a * b, 1)
        const length = shape[axis] as number
        const expected = Float64Array.from({ length: 24 }, (_, n) => {
          const at = Math.floor(n / stride) % length
          let total = 0
          for (let i = 0; i < length; i++) {
            const added = reversed ? i < at : i > at
            if (added || (i === at && !exclusive)) total += weights[n + (i - at) * stride] as number
          }
          return total
        })
        expectClose(await read(grad), expected, 1e-6, 'gradient')
      })
    },
  )
})

describe('vjp', () => {
  test('what the outputs do not reach gets zeros', async () => {
    await within(async () => {
      const [x, y] = [tensor1d([1, 2]), tensor1d([3, 4, 5])]
      const [dx, dy] = vjp(() => [square(x)], [x, y], [tensor1d([1, 1])]) as [Tensor, Tensor]
      expect([...(await read(dx))]).toEqual([2, 4])
      expect([...(await read(dy))]).toEqual([0, 0, 0])
    })
  })

  test('several outputs add up', async () => {
    await within(async () => {
      const x = tensor1d([1, 2])
      const [dx] = vjp(() => [square(x), mul(x, 10)], [x], [tensor1d([1, 1]), tensor1d([1, 0])]) as [Tensor]
      expect([...(await read(dx))]).toEqual([12, 4])
    })
  })

  test('four deep: the derivatives of x⁴ are 4x³, 12x², 24x and 24', async () => {
    await within(async () => {
      const x = scalar(1.5)
      const derivative = (f: (x: Tensor) => Tensor) => (at: Tensor) =>
        vjp(() => [f(at)], [at], [scalar(1)])[0] as Tensor
      let f = (at: Tensor): Tensor => square(square(at))
      for (const expected of [4 * 1.5 ** 3, 12 * 1.5 ** 2, 24 * 1.5, 24]) {
        f = derivative(f)
        expectClose(await read(f(x)), [expected], 1e-6, `${expected}`)
      }
    })
  })

  test('a gradient of a gradient through kept outputs is not lost: exp‴ = exp', async () => {
    await within(async () => {
      const x = scalar(0.7)
      const derivative = (f: (x: Tensor) => Tensor) => (at: Tensor) =>
        vjp(() => [f(at)], [at], [scalar(1)])[0] as Tensor
      const third = derivative(derivative(derivative(exp)))
      expectClose(await read(third(x)), [Math.exp(0.7)], 1e-6, 'third derivative')
    })
  })

  test('inside a loss: the tape of the outer pass stays whole', async () => {
    await within(async () => {
      const w = variable(tensor1d([1, 2, 3]))
      // Σ (d/dw Σ w³)² = Σ 9 w⁴, whose gradient is 36 w³
      const { value, grads } = valueAndGrads(() => {
        const [inner] = vjp(() => [mul(w, square(w))], [w], [tensor1d([1, 1, 1])]) as [Tensor]
        return sum(square(inner))
      }, [w])
      expectClose(await read(value), [9 * (1 + 16 + 81)], 1e-6, 'value')
      expectClose(await read(grads[0] as Tensor), [36, 36 * 8, 36 * 27], 1e-6, 'gradient')
      w.dispose()
    })
  })
})

describe('valueAndGrads', () => {
  test('gradients that another library has put in the place of ours are replaced again', async () => {
    await within(async () => {
      registerGradients()
      const own = getGradient('BatchMatMul')
      registerGradient({ kernelName: 'BatchMatMul', gradFunc: () => ({}) })
      const [a, b] = [variable(tensor([1, 2], [1, 2])), variable(tensor([3, 4], [2, 1]))]
      const { value, grads } = valueAndGrads(() => sum(matMul(a, b)), [a, b])
      expect([...(await read(value))]).toEqual([11])
      expect([...(await read(grads[0] as Tensor)), ...(await read(grads[1] as Tensor))]).toEqual([3, 4, 1, 2])
      expect(getGradient('BatchMatMul')).not.toBe(own)
      for (const v of [a, b]) v.dispose()
    })
  })

  test('value, gradients in the order asked for, and null for what the loss does not depend on', async () => {
    await within(async () => {
      const [a, b, c] = [variable(tensor1d([2])), variable(tensor1d([3])), variable(tensor1d([5]))]
      const { value, grads } = valueAndGrads(() => sum(mul(square(a), c)), [c, b, a])
      expect([...(await read(value))]).toEqual([20])
      expect(grads[1]).toBeNull()
      expect([...(await read(grads[0] as Tensor)), ...(await read(grads[2] as Tensor))]).toEqual([4, 20])
      for (const v of [a, b, c]) v.dispose()
    })
  })

  test('a loss that is no scalar is refused', async () => {
    await within(async () => {
      const x = variable(tensor1d([1, 2]))
      expect(() => valueAndGrads(() => square(x), [x])).toThrow(RangeError)
      x.dispose()
    })
  })
})
