import { add, concat, mul, reshape, slice, type Tensor, zeros } from '@tensorflow/tfjs-core'
import { defineOp, differentiated, type OpSheet } from '../op.js'

interface Inputs {
  readonly x: Tensor
  /** Tap W - 1 is the current token. */
  readonly weight: Tensor
  readonly bias?: Tensor
  /** The P = W - 1 inputs before the first, oldest first; zeros if absent. */
  readonly tail?: Tensor
}

interface Outputs {
  readonly y: Tensor
  readonly tail: Tensor
}

function reference({ x, weight, bias, tail }: Inputs): Outputs {
  const [B, T, D] = x.shape as [number, number, number]
  const W = weight.shape[1] as number
  const extended = concat([tail ?? zeros([B, W - 1, D]), x], 1)
  const terms = Array.from({ length: W }, (_, j) =>
    mul(slice(extended, [0, j, 0], [B, T, D]), reshape(slice(weight, [0, j], [D, 1]), [D])),
  )
  const y = terms.reduce((total, term) => add(total, term))
  return { y: bias ? add(y, bias) : y, tail: slice(extended, [0, T, 0], [B, W - 1, D]) }
}

/**
 * Causal depthwise convolution along time: `y_t = b + sum_j w_j x_{t - (W-1) + j}`, channel by channel.
 * x `[B, T, D]`, weight `[D, W]` with W >= 2, bias `[D]`, tail `[B, W-1, D]`; returns y and the tail after the last
 * token. Time O(B T D W).
 */
export const shortConv = defineOp<Inputs, object, Outputs>({
  name: 'shortConv',
  inputs: { x: 'B T D', weight: 'D W', bias: '?D', tail: '?B P D' },
  outputs: { y: 'B T D', tail: 'B P D' },
  keepOutputs: false,
  attrs: {},
  reference,
  gradient: differentiated(reference),
})

/** What the laws, the self-test and the bench go by. */
export const shortConvSheet: OpSheet<Inputs, object> = {
  equation: 'y_t = b + \\sum_{j=0}^{W-1} w_j \\odot x_{t-(W-1)+j}',
  cost: ({ B = 1, T = 1, D = 1, W = 4 }) => ({ flops: 2 * B * T * D * W, bytes: 8 * B * T * D, passes: 1 }),
  examples: [
    { dims: { B: 2, T: 1, D: 3, W: 4, P: 3 } },
    { dims: { B: 1, T: 2, D: 5, W: 3, P: 2 }, omit: ['bias'] },
    { dims: { B: 2, T: 65, D: 9, W: 4, P: 3 }, omit: ['bias', 'tail'] },
    { dims: { B: 8, T: 256, D: 128, W: 4, P: 3 } },
  ],
}
