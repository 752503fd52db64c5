import type { Infos } from '@mneme/core-tensor'
import { oneCall, sequenceOf, shapeOf } from './one-call.js'

/** The whole loop of sLSTM in one call each way; the products of the backward pass are one over all tokens. */
export const slstm = oneCall({
  inputs: ['projected', 'weight', 'bias', 'resets', 'mask', 'h0', 'c0', 'n0', 'm0'],
  sizes: sizesOf,
  outputs([batch, time, heads, head]) {
    const shape = [batch, time, heads * head]
    return { h: shape, c: shape, n: shape, m: shape }
  },
  call: (kernels) => kernels.slstm,
  scratch: (kernels, [batch, , heads, head]) => [kernels.slstmScratch(batch, heads, head)],
  backward: {
    call: (kernels) => kernels.slstmBackward,
    seesOutputs: true,
    scratch: (kernels, sizes) => [kernels.slstmBackwardScratch(...sizes)],
  },
})

function sizesOf(inputs: Infos): [batch: number, time: number, heads: number, head: number] {
  const [batch, time] = sequenceOf(inputs, 'projected')
  const [heads, , head] = shapeOf(inputs, 'weight') as [number, number, number]
  return [batch, time, heads, head]
}
