import { oneCall, sequenceOf } from './one-call.js'

/** The weighted average of RWKV-4 in one pass each way; the backward pass computes states again, a chunk at a time. */
export const wkv4 = oneCall({
  inputs: ['k', 'v', 'timeDecay', 'timeFirst', 'resets', 'mask', 'num', 'den', 'max'],
  sizes: (inputs) => sequenceOf(inputs, 'k'),
  outputs(sizes) {
    const last = [sizes[0], sizes[2]]
    return { y: sizes, num: last, den: last, max: last }
  },
  call: (kernels) => kernels.wkv4,
  scratch: (kernels, [, , width]) => [kernels.wkv4Scratch(width)],
  backward: {
    call: (kernels) => kernels.wkv4Backward,
    seesOutputs: false,
    scratch: (kernels, [, time, width]) => [kernels.wkv4BackwardScratch(time, width)],
  },
})
