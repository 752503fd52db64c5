import type { OpKernel } from '@mneme/core-tensor'
import { sizesOf } from './gru.js'
import { heapOf, typesFit } from './heap.js'

/** In the order of the kernels' arguments. */
const names = ['projected', 'weight', 'bias', 'resets', 'mask', 'h0', 'c0'] as const
type Addresses = [number, number, number, number, number, number, number]

/** The whole loop of an LSTM in one call each way; the products of the backward pass are one over all tokens. */
export const lstm: OpKernel = {
  accepts: (inputs) => typesFit(inputs),

  forward(inputs, _attrs, backend) {
    const { batch, time, width } = sizesOf(inputs)
    const heap = heapOf(backend)
    const h = heap.output([batch, time, width])
    const c = heap.output([batch, time, width])
    const scratch = heap.scratch(heap.kernels.lstmScratch(batch, width))
    const given = names.map((name) => heap.address(inputs[name])) as Addresses
    heap.kernels.lstm(...given, heap.address(h), heap.address(c), scratch, batch, time, width)
    return { h, c }
  },

  backward(dys, inputs, outputs, _attrs, backend) {
    const { batch, time, width } = sizesOf(inputs)
    const heap = heapOf(backend)
    const grads = Object.fromEntries(Object.entries(inputs).map(([name, { shape }]) => [name, heap.output(shape)]))
    const scratch = heap.scratch(heap.kernels.lstmBackwardScratch(batch, time, width))
    const given = names.map((name) => heap.address(inputs[name])) as Addresses
    const wanted = names.map((name) => heap.address(grads[name])) as Addresses
    heap.kernels.lstmBackward(
      ...given,
      heap.address(outputs.h),
      heap.address(outputs.c),
      heap.address(dys.h),
      heap.address(dys.c),
      ...wanted,
      scratch,
      batch,
      time,
      width,
    )
    return grads
  },
}
