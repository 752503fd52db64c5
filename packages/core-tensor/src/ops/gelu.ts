import { add, div, erf, exp, mul, square, type Tensor } from '@tensorflow/tfjs-core'
import { defineOp, type OpSheet } from '../op.js'

interface Inputs {
  readonly x: Tensor
}

/** Φ(x), the share of a standard normal below x. */
const below = (x: Tensor): Tensor => mul(add(erf(div(x, Math.SQRT2)), 1), 0.5)

/** The derivative of `x Φ(x)`: Φ(x) + x φ(x), φ the density of a standard normal. */
export function geluSlope(x: Tensor): Tensor {
  const density = mul(exp(mul(square(x), -0.5)), 1 / Math.sqrt(2 * Math.PI))
  return add(below(x), mul(x, density))
}

/**
 * Gaussian error linear unit, the exact form: `y = x Φ(x)`. Any shape. Time O(N).
 * Source: Hendrycks and Gimpel 2016, arXiv:1606.08415.
 */
export const geluOp = defineOp<Inputs, object, { readonly y: Tensor }>({
  name: 'gelu',
  inputs: { x: '*N' },
  outputs: { y: '*N' },
  keepOutputs: false,
  attrs: {},
  reference: ({ x }) => ({ y: mul(x, below(x)) }),
  gradient: ({ y: dy }, { x }) => ({ x: mul(dy, geluSlope(x)) }),
})

/** What the laws, the self-test and the bench go by. */
export const geluOpSheet: OpSheet<Inputs, object> = {
  equation: 'y = x \\, \\Phi(x)',
  cost: ({ N = 1 }) => ({ flops: 20 * N, bytes: 8 * N, passes: 1 }),
  examples: [{ dims: { N: 1 } }, { dims: { N: 65 } }, { dims: { N: 131072 } }],
}
