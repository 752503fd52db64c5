import type { Infos } from '@mneme/core-tensor'
import { oneCall, sequenceOf, shapeOf } from './one-call.js'

/** The whole loop of a GRU in one call each way; the products of the backward pass are one over all tokens. */
export const gru = oneCall({
  inputs: ['projected', 'weight', 'bias', 'resets', 'mask', 'h0'],
  sizes: cellSizes,
  outputs: (sizes) => ({ h: sizes }),
  call: (kernels) => kernels.gru,
  scratch: (kernels, [batch, , width]) => [kernels.gruScratch(batch, width)],
  backward: {
    call: (kernels) => kernels.gruBackward,
    seesOutputs: true,
    scratch: (kernels, sizes) => [kernels.gruBackwardScratch(...sizes)],
  },
})

/** Sizes of a loop over tokens whose states are as wide as its recurrent weight has columns. */
export function cellSizes(inputs: Infos): [batch: number, time: number, width: number] {
  const [batch, time] = sequenceOf(inputs, 'projected')
  return [batch, time, shapeOf(inputs, 'weight')[1] as number]
}
