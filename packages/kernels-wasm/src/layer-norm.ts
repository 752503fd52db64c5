import { oneCall, rowsOf, shapeOf } from './one-call.js'

/** Layer normalisation, row by row: each row is read from memory once in either direction. */
export const layerNorm = oneCall({
  inputs: ['x', 'weight', 'bias'],
  sizes: (inputs, { eps }) => [...rowsOf(inputs, 'x'), eps as number],
  outputs: (_, inputs) => ({ y: shapeOf(inputs, 'x') }),
  call: (kernels) => kernels.layerNorm,
  backward: { call: (kernels) => kernels.layerNormBackward, inputs: ['x', 'weight'], seesOutputs: false },
})
