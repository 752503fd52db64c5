import { mul, reshape, square, sum, type Tensor } from '@tensorflow/tfjs-core'
import { defineOp, type OpSheet } from '../op.js'

interface Inputs {
  readonly x: Tensor
}

/** Sum of squares of a tensor of any shape, `[1]`: one term of the global norm of gradients. Time O(N). */
export const squaredNorm = defineOp<Inputs, object, { readonly value: Tensor }>({
  name: 'squaredNorm',
  inputs: { x: '*N' },
  outputs: { value: '1' },
  keepOutputs: false,
  attrs: {},
  reference: ({ x }) => ({ value: reshape(sum(square(x)), [1]) }),
  gradient: ({ value: dy }, { x }) => ({ x: mul(x, mul(reshape(dy, []), 2)) }),
})

/** What the laws, the self-test and the bench go by. */
export const squaredNormSheet: OpSheet<Inputs, object> = {
  equation: 's = \\sum_n x_n^2',
  cost: ({ N = 1 }) => ({ flops: 2 * N, bytes: 4 * N, passes: 1 }),
  examples: [{ dims: { N: 1 } }, { dims: { N: 67 } }, { dims: { N: 65536 } }],
}
