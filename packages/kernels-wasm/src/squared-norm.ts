import { util } from '@tensorflow/tfjs-core'
import { oneCall, shapeOf } from './one-call.js'

/** Sum of squares in one pass. */
export const squaredNorm = oneCall({
  inputs: ['x'],
  sizes: (inputs) => [util.sizeFromShape(shapeOf(inputs, 'x'))],
  outputs: () => ({ value: [1] }),
  call: (kernels) => kernels.squaredNorm,
})
