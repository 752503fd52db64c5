import { oneCall, sequenceOf, shapeOf } from './one-call.js'

/**
 * Selective scan in one pass each way, four channels to a vector. Nothing of size T D N is kept: the backward pass
 * computes states again, a chunk at a time.
 */
export const selectiveScan = oneCall({
  inputs: ['u', 'delta', 'A', 'Bt', 'C', 'skip', 'deltaBias', 'z', 'resets', 'state'],
  sizes: (inputs) => [...sequenceOf(inputs, 'u'), shapeOf(inputs, 'A')[1] as number],
  outputs: ([batch, time, width, states]) => ({ y: [batch, time, width], state: [batch, width, states] }),
  call: (kernels) => kernels.selectiveScan,
  scratch: (kernels, [, , width, states]) => [kernels.selectiveScanScratch(width, states)],
  backward: {
    call: (kernels) => kernels.selectiveScanBackward,
    seesOutputs: false,
    scratch: (kernels, [, time, width, states]) => [kernels.selectiveScanBackwardScratch(time, width, states)],
  },
})
