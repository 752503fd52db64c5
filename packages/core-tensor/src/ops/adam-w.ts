import { add, div, mul, sqrt, square, sub, type Tensor } from '@tensorflow/tfjs-core'
import { defineOp, type OpSheet } from '../op.js'

interface Inputs {
  readonly parameter: Tensor
  readonly grad: Tensor
  /** First moment. */
  readonly m: Tensor
  /** Second moment. */
  readonly v: Tensor
}

interface Attrs {
  readonly lr: number
  readonly beta1: number
  readonly beta2: number
  readonly eps: number
  readonly weightDecay: number
  /** Counts from 1, for the bias correction. */
  readonly step: number
  /** The gradient is multiplied by this first: clipping by global norm, or 1 / accumulated batches. */
  readonly gradScale: number
}

interface Outputs {
  readonly parameter: Tensor
  readonly m: Tensor
  readonly v: Tensor
}

/**
 * One AdamW update, all of one shape; decoupled decay, biases of both moments corrected.
 * Has no gradient. Source: Loshchilov and Hutter 2019, arXiv:1711.05101, algorithm 2.
 */
export const adamW = defineOp<Inputs, Attrs, Outputs>({
  name: 'adamW',
  inputs: { parameter: '*N', grad: '*N', m: '*N', v: '*N' },
  outputs: { parameter: '*N', m: '*N', v: '*N' },
  attrs: { lr: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0, step: 1, gradScale: 1 },
  reference({ parameter, grad, m, v }, { lr, beta1, beta2, eps, weightDecay, step, gradScale }) {
    const g = mul(grad, gradScale)
    const m1 = add(mul(m, beta1), mul(g, 1 - beta1))
    const v1 = add(mul(v, beta2), mul(square(g), 1 - beta2))
    const denominator = add(sqrt(div(v1, 1 - beta2 ** step)), eps)
    const update = div(div(m1, 1 - beta1 ** step), denominator)
    return { parameter: sub(mul(parameter, 1 - lr * weightDecay), mul(update, lr)), m: m1, v: v1 }
  },
  gradient: () => ({}),
})

/** What the laws, the self-test and the bench go by. */
export const adamWSheet: OpSheet<Inputs, Attrs> = {
  equation: 'p \\leftarrow p - \\eta \\left( \\frac{\\hat m}{\\sqrt{\\hat v} + \\epsilon} + \\lambda p \\right)',
  draw: { v: 'positive' },
  cost: ({ N = 1 }) => ({ flops: 12 * N, bytes: 28 * N, passes: 1 }),
  examples: [
    { dims: { N: 1 } },
    { dims: { N: 67 }, attrs: { step: 100, weightDecay: 0.1, gradScale: 0.5 } },
    { dims: { N: 65536 }, attrs: { step: 3 } },
  ],
}
