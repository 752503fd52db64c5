import type { OpKernel } from '@mneme/core-tensor'
import type { TensorInfo } from '@tensorflow/tfjs-core'
import { heapOf, typesFit } from './heap.js'

/** In the order of the kernels' arguments. */
const names = ['projected', 'weight', 'bias', 'resets', 'mask', 'h0'] as const
type Addresses = [number, number, number, number, number, number]

/** The whole loop of a GRU in one call each way; the products of the backward pass are one over all tokens. */
export const gru: OpKernel = {
  accepts: (inputs) => typesFit(inputs),

  forward(inputs, _attrs, backend) {
    const { batch, time, width } = sizesOf(inputs)
    const heap = heapOf(backend)
    const h = heap.output([batch, time, width])
    const scratch = heap.scratch(heap.kernels.gruScratch(batch, width))
    const given = names.map((name) => heap.address(inputs[name])) as Addresses
    heap.kernels.gru(...given, heap.address(h), scratch, batch, time, width)
    return { h }
  },

  backward(dys, inputs, outputs, _attrs, backend) {
    const { batch, time, width } = sizesOf(inputs)
    const heap = heapOf(backend)
    const grads = Object.fromEntries(Object.entries(inputs).map(([name, { shape }]) => [name, heap.output(shape)]))
    const scratch = heap.scratch(heap.kernels.gruBackwardScratch(batch, time, width))
    const given = names.map((name) => heap.address(inputs[name])) as Addresses
    const wanted = names.map((name) => heap.address(grads[name])) as Addresses
    heap.kernels.gruBackward(
      ...given,
      heap.address(outputs.h),
      heap.address(dys.h),
      ...wanted,
      scratch,
      batch,
      time,
      width,
    )
    return grads
  },
}

/** Sizes of a loop over tokens, from what is projected and the recurrent weight. */
export function sizesOf({ projected, weight }: Readonly<Record<string, TensorInfo>>): {
  readonly batch: number
  readonly time: number
  readonly width: number
} {
  const [batch, time] = (projected as TensorInfo).shape as [number, number]
  return { batch, time, width: (weight as TensorInfo).shape[1] as number }
}
