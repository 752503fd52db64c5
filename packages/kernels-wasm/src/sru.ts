import { oneCall, sequenceOf } from './one-call.js'

/** The whole loop of an SRU cell in one call each way. */
export const sru = oneCall({
  inputs: ['candidate', 'forget', 'peephole', 'resets', 'mask', 'c0'],
  sizes: (inputs) => sequenceOf(inputs, 'candidate'),
  outputs: (sizes) => ({ c: sizes }),
  call: (kernels) => kernels.sru,
  scratch: (_, [batch, , width]) => [4 * batch * width],
  backward: {
    call: (kernels) => kernels.sruBackward,
    seesOutputs: true,
    // the state before each token, and what flows back to it
    scratch: (_, [batch, time, width]) => [4 * batch * time * width, 4 * batch * width],
  },
})
