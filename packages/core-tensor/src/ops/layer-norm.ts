import { add, mean, mul, rsqrt, square, sub, type Tensor } from '@tensorflow/tfjs-core'
import { defineOp, type OpSheet } from '../op.js'
import { sumOverRows } from './rows.js'

interface Inputs {
  readonly x: Tensor
  readonly weight?: Tensor
  readonly bias?: Tensor
}

interface Attrs {
  readonly eps: number
}

function normalise(x: Tensor, eps: number): { normed: Tensor; inverse: Tensor } {
  const centred = sub(x, mean(x, -1, true))
  const inverse = rsqrt(add(mean(square(centred), -1, true), eps))
  return { normed: mul(centred, inverse), inverse }
}

/**
 * Layer normalisation over the last axis, with the biased variance.
 * x `[..., D]`, weight and bias `[D]` (ones and zeros if absent). Source: Ba et al. 2016, arXiv:1607.06450.
 */
export const layerNorm = defineOp<Inputs, Attrs, { readonly y: Tensor }>({
  name: 'layerNorm',
  inputs: { x: '...N D', weight: '?D', bias: '?D' },
  outputs: { y: '...N D' },
  keepOutputs: false,
  attrs: { eps: 1e-5 },
  reference({ x, weight, bias }, { eps }) {
    const { normed } = normalise(x, eps)
    const scaled = weight ? mul(normed, weight) : normed
    return { y: bias ? add(scaled, bias) : scaled }
  },
  gradient({ y: dy }, { x, weight, bias }, _outputs, { eps }) {
    const { normed, inverse } = normalise(x, eps)
    const g = weight ? mul(dy, weight) : dy
    const along = mul(normed, mean(mul(g, normed), -1, true))
    return {
      x: mul(inverse, sub(sub(g, mean(g, -1, true)), along)),
      ...(weight && { weight: sumOverRows(mul(dy, normed)) }),
      ...(bias && { bias: sumOverRows(dy) }),
    }
  },
})

/** What the laws, the self-test and the bench go by. */
export const layerNormSheet: OpSheet<Inputs, Attrs> = {
  equation: 'y = \\frac{x - \\mathrm{mean}(x)}{\\sqrt{\\mathrm{var}(x) + \\epsilon}} \\odot w + b',
  cost: ({ N = 1, D = 1 }) => ({ flops: 8 * N * D, bytes: 8 * N * D, passes: 1 }),
  examples: [
    { dims: { N: 2, D: 3 } },
    { dims: { N: 3, D: 7 }, omit: ['weight', 'bias'] },
    { dims: { N: 65, D: 33 }, attrs: { eps: 1e-3 }, omit: ['bias'] },
    { dims: { N: 2048, D: 128 } },
  ],
}
