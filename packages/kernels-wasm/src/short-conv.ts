import type { Kernels } from './gen/kernels.js'
import { oneCall, sequenceOf, shapeOf } from './one-call.js'

type Sizes = readonly [batch: number, time: number, width: number, taps: number]

const scratch = (kernels: Kernels, [, , width, taps]: Sizes): number[] => [kernels.shortConvScratch(width, taps)]

/** Causal depthwise convolution in one pass each way; the tail is read where it lies, never joined to the sequence. */
export const shortConv = oneCall({
  inputs: ['x', 'weight', 'bias', 'tail'],
  sizes: (inputs): Sizes => [...sequenceOf(inputs, 'x'), shapeOf(inputs, 'weight')[1] as number],
  outputs: ([batch, time, width, taps]) => ({ y: [batch, time, width], tail: [batch, taps - 1, width] }),
  call: (kernels) => kernels.shortConv,
  scratch,
  backward: {
    call: (kernels) => kernels.shortConvBackward,
    inputs: ['x', 'weight', 'tail'],
    seesOutputs: false,
    scratch,
  },
})
