import { oneCall, sequenceOf } from './one-call.js'

/** `h_t = a_t h_{t-1} + b_t` in one pass each way; the backward pass makes all three gradients together. */
export const linearScan = oneCall({
  inputs: ['a', 'b', 'h0'],
  sizes: (inputs, { reverse }) => [...sequenceOf(inputs, 'a'), Number(reverse === true)],
  outputs: ([batch, time, width]) => ({ h: [batch, time, width] }),
  call: (kernels) => kernels.linearScan,
  backward: { call: (kernels) => kernels.linearScanBackward, inputs: ['a', 'h0'], seesOutputs: true },
})
