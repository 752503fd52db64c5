import { oneCall, rowsOf, shapeOf } from './one-call.js'

/** Root mean square normalisation, row by row: each row is read from memory once in either direction. */
export const rmsNorm = oneCall({
  inputs: ['x', 'weight'],
  sizes: (inputs, { eps }) => [...rowsOf(inputs, 'x'), eps as number],
  outputs: (_, inputs) => ({ y: shapeOf(inputs, 'x') }),
  call: (kernels) => kernels.rmsNorm,
  backward: { call: (kernels) => kernels.rmsNormBackward, seesOutputs: false },
})
