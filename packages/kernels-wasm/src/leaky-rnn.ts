import type { OpKernel } from '@mneme/core-tensor'
import { sizesOf } from './gru.js'
import { heapOf, typesFit } from './heap.js'

/** In the order of the kernels' arguments. */
const names = ['projected', 'weight', 'resets', 'mask', 'h0'] as const
type Addresses = [number, number, number, number, number]

/** The whole loop of leaky units in one call each way; the products of the backward pass are one over all tokens. */
export const leakyRnn: OpKernel = {
  accepts: (inputs) => typesFit(inputs),

  forward(inputs, { leak }, backend) {
    const { batch, time, width } = sizesOf(inputs)
    const heap = heapOf(backend)
    const h = heap.output([batch, time, width])
    const scratch = heap.scratch(heap.kernels.leakyRnnScratch(batch, width))
    const given = names.map((name) => heap.address(inputs[name])) as Addresses
    heap.kernels.leakyRnn(...given, heap.address(h), scratch, batch, time, width, leak as number)
    return { h }
  },

  backward(dys, inputs, outputs, { leak }, backend) {
    const { batch, time, width } = sizesOf(inputs)
    const heap = heapOf(backend)
    const grads = Object.fromEntries(Object.entries(inputs).map(([name, { shape }]) => [name, heap.output(shape)]))
    const scratch = heap.scratch(heap.kernels.leakyRnnBackwardScratch(batch, time, width))
    const given = names.map((name) => heap.address(inputs[name])) as Addresses
    const wanted = names.map((name) => heap.address(grads[name])) as Addresses
    heap.kernels.leakyRnnBackward(
      ...given,
      heap.address(outputs.h),
      heap.address(dys.h),
      ...wanted,
      scratch,
      batch,
      time,
      width,
      leak as number,
    )
    return grads
  },
}
