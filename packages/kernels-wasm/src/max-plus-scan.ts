import { oneCall, sequenceOf } from './one-call.js'

/** `m_t = max(a_t + m_{t-1}, b_t)` in one pass; its gradient is a `linearScan`. */
export const maxPlusScan = oneCall({
  inputs: ['a', 'b', 'm0'],
  sizes: (inputs) => sequenceOf(inputs, 'b'),
  outputs: (sizes) => ({ m: sizes }),
  call: (kernels) => kernels.maxPlusScan,
})
