import { oneCall, rowsOf } from './one-call.js'

/** Log-sum-exp less the target's logit, without storing probabilities; the backward pass writes only the gradient. */
export const crossEntropy = oneCall({
  inputs: ['logits', 'targets'],
  ints: ['targets'],
  sizes: (inputs) => rowsOf(inputs, 'logits'),
  outputs: ([count]) => ({ nll: [count] }),
  call: (kernels) => kernels.crossEntropy,
  backward: { call: (kernels) => kernels.crossEntropyBackward, seesOutputs: true },
})
