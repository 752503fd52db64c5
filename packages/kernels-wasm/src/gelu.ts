import { util } from '@tensorflow/tfjs-core'
import { oneCall, shapeOf } from './one-call.js'

/** `x Φ(x)` and its slope, each in one pass. */
export const gelu = oneCall({
  inputs: ['x'],
  sizes: (inputs) => [util.sizeFromShape(shapeOf(inputs, 'x'))],
  outputs: (_, inputs) => ({ y: shapeOf(inputs, 'x') }),
  call: (kernels) => kernels.gelu,
  backward: { call: (kernels) => kernels.geluBackward, seesOutputs: false },
})
