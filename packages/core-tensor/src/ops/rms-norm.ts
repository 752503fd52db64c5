import { add, div, mean, mul, rsqrt, square, sub, sum, type Tensor } from '@tensorflow/tfjs-core'
import { defineOp, type OpSheet } from '../op.js'
import { sumOverRows } from './rows.js'

interface Inputs {
  readonly x: Tensor
  readonly weight?: Tensor
}

interface Attrs {
  readonly eps: number
}

const inverseRms = (x: Tensor, eps: number): Tensor => rsqrt(add(mean(square(x), -1, true), eps))

/**
 * Root mean square normalisation over the last axis: `y = x / sqrt(mean(x^2) + eps) * weight`.
 *
 * x `[..., D]`, weight `[D]` (ones if absent). Source: Zhang and Sennrich 2019, arXiv:1910.07467.
 */
export const rmsNorm = defineOp<Inputs, Attrs, { readonly y: Tensor }>({
  name: 'rmsNorm',
  inputs: { x: '...N D', weight: '?D' },
  outputs: { y: '...N D' },
  keepOutputs: false,
  attrs: { eps: 1e-6 },
  reference({ x, weight }, { eps }) {
    const normed = mul(x, inverseRms(x, eps))
    return { y: weight ? mul(normed, weight) : normed }
  },
  gradient({ y: dy }, { x, weight }, _outputs, { eps }) {
    const r = inverseRms(x, eps)
    const normed = mul(x, r)
    const g = weight ? mul(dy, weight) : dy
    return {
      x: mul(r, sub(g, mul(normed, div(sum(mul(g, normed), -1, true), x.shape[x.rank - 1] as number)))),
      ...(weight && { weight: sumOverRows(mul(dy, normed)) }),
    }
  },
})

/** What the laws, the self-test and the bench go by. */
export const rmsNormSheet: OpSheet<Inputs, Attrs> = {
  equation: 'y = \\frac{x}{\\sqrt{\\mathrm{mean}(x^2) + \\epsilon}} \\odot w',
  cost: ({ N = 1, D = 1 }) => ({ flops: 4 * N * D, bytes: 8 * N * D, passes: 1 }),
  examples: [
    { dims: { N: 1, D: 1 } },
    { dims: { N: 3, D: 7 }, omit: ['weight'] },
    { dims: { N: 65, D: 33 }, attrs: { eps: 1e-3 } },
    { dims: { N: 2048, D: 128 } },
  ],
}
