import { add, matMul, reshape, sum, type Tensor, type Tensor2D } from '@tensorflow/tfjs-core'
import { defineOp, type OpSheet } from '../op.js'

interface Inputs {
  readonly x: Tensor
  readonly weight: Tensor
  readonly bias?: Tensor
}

const rows = (x: Tensor): Tensor2D => reshape(x, [-1, x.shape[x.rank - 1] as number])

/**
 * `y = x Wᵀ + b` over the last axis, any axes before it. x `[..., I]`, weight `[O, I]`, bias `[O]`; y `[..., O]`.
 * Time O(N I O). One kernel forward, one backward: a linear map is what models do most.
 */
export const affine = defineOp<Inputs, object, { readonly y: Tensor }>({
  name: 'affine',
  inputs: { x: '...N I', weight: 'O I', bias: '?O' },
  outputs: { y: '...N O' },
  keepOutputs: false,
  attrs: {},
  reference({ x, weight, bias }) {
    const product = matMul(rows(x), weight as Tensor2D, false, true)
    return { y: reshape(bias ? add(product, bias) : product, [...x.shape.slice(0, -1), weight.shape[0] as number]) }
  },
  gradient({ y: dy }, { x, weight, bias }) {
    const dyRows = rows(dy)
    return {
      x: reshape(matMul(dyRows, weight as Tensor2D), x.shape),
      weight: matMul(dyRows, rows(x), true, false),
      ...(bias && { bias: sum(dyRows, 0) }),
    }
  },
})

/** What the laws, the self-test and the bench go by. */
export const affineSheet: OpSheet<Inputs, object> = {
  equation: 'y = x W^\\top + b',
  cost: ({ N = 1, I = 1, O = 1 }) => ({ flops: 2 * N * I * O, bytes: 4 * (N * I + I * O + N * O), passes: 1 }),
  examples: [
    { dims: { N: 1, I: 1, O: 1 } },
    { dims: { N: 1, I: 7, O: 5 }, omit: ['bias'] },
    { dims: { N: 6, I: 5, O: 3 } },
    { dims: { N: 65, I: 33, O: 63 } },
    { dims: { N: 2, I: 64, O: 9 }, omit: ['bias'] },
    { dims: { N: 1024, I: 64, O: 192 } },
  ],
}
