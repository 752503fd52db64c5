import { oneCall, sequenceOf } from './one-call.js'

/** The scan over complex numbers in one pass each way; the backward pass makes all gradients together. */
export const complexLinearScan = oneCall({
  inputs: ['ar', 'ai', 'br', 'bi', 'h0r', 'h0i'],
  sizes(inputs, { reverse }) {
    // a part of the factor may be the same for all tokens
    const same = (name: string): number => Number(inputs[name]?.shape.length === 1)
    return [...sequenceOf(inputs, 'br'), same('ar'), same('ai'), Number(reverse === true)]
  },
  outputs: ([batch, time, width]) => ({ hr: [batch, time, width], hi: [batch, time, width] }),
  call: (kernels) => kernels.complexLinearScan,
  scratch: (_, [, , width]) => [4 * width],
  backward: {
    call: (kernels) => kernels.complexLinearScanBackward,
    inputs: ['ar', 'ai', 'h0r', 'h0i'],
    seesOutputs: true,
    scratch: (_, [, , width]) => [12 * width],
  },
})
