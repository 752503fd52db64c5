import { cellSizes } from './gru.js'
import { oneCall } from './one-call.js'

/** The whole loop of leaky units in one call each way; the products of the backward pass are one over all tokens. */
export const leakyRnn = oneCall({
  inputs: ['projected', 'weight', 'resets', 'mask', 'h0'],
  sizes: (inputs, { leak }) => [...cellSizes(inputs), leak as number],
  outputs: ([batch, time, width]) => ({ h: [batch, time, width] }),
  call: (kernels) => kernels.leakyRnn,
  scratch: (kernels, [batch, , width]) => [kernels.leakyRnnScratch(batch, width)],
  backward: {
    call: (kernels) => kernels.leakyRnnBackward,
    seesOutputs: true,
    scratch: (kernels, [batch, time, width]) => [kernels.leakyRnnBackwardScratch(batch, time, width)],
  },
})
