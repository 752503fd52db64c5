import { cellSizes } from './gru.js'
import { oneCall } from './one-call.js'

/** The whole loop of an LSTM in one call each way; the products of the backward pass are one over all tokens. */
export const lstm = oneCall({
  inputs: ['projected', 'weight', 'bias', 'resets', 'mask', 'h0', 'c0'],
  sizes: cellSizes,
  outputs: (sizes) => ({ h: sizes, c: sizes }),
  call: (kernels) => kernels.lstm,
  scratch: (kernels, [batch, , width]) => [kernels.lstmScratch(batch, width)],
  backward: {
    call: (kernels) => kernels.lstmBackward,
    seesOutputs: true,
    scratch: (kernels, sizes) => [kernels.lstmBackwardScratch(...sizes)],
  },
})
