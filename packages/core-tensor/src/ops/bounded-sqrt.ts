import { div, maximum, mul, sqrt, type Tensor } from '@tensorflow/tfjs-core'
import { defineOp, type OpSheet } from '../op.js'

/** Slope at 0; that of the square root itself has no bound. */
const STEEPEST = 1000

/**
 * `sqrt(x)` for x ≥ 0 of any shape, with a gradient of at most 1000: the slope is that at no less than 2.5e-7.
 *
 * Gates whose decay comes close to 1 need it, where `sqrt(1 − a²)` is infinitely steep. Time O(x).
 * Source: De et al. 2024, arXiv:2402.19427, section 2.4, and the gradient of the authors' implementation.
 */
export const boundedSqrt = defineOp<{ readonly x: Tensor }, object, { readonly y: Tensor }>({
  name: 'boundedSqrt',
  inputs: { x: '*N' },
  outputs: { y: '*N' },
  attrs: {},
  reference: ({ x }) => ({ y: sqrt(x) }),
  gradient: ({ y: dy }, _inputs, { y }) => ({ x: div(dy, maximum(mul(y, 2), 1 / STEEPEST)) }),
})

/** What the laws, the self-test and the bench go by. */
export const boundedSqrtSheet: OpSheet<{ readonly x: Tensor }, object> = {
  equation: 'y = \\sqrt{x}, \\quad \\frac{\\partial y}{\\partial x} = \\min\\left(\\frac{1}{2\\sqrt{x}}, 1000\\right)',
  draw: { x: 'unit' },
  cost: ({ N = 1 }) => ({ flops: N, bytes: 8 * N, passes: 1 }),
  examples: [{ dims: { N: 1 } }, { dims: { N: 7 } }, { dims: { N: 65536 } }],
}
