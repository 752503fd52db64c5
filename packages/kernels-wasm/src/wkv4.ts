import type { OpKernel } from '@mneme/core-tensor'
import type { TensorInfo } from '@tensorflow/tfjs-core'
import { heapOf, typesFit } from './heap.js'

/** In the order of the kernels' arguments. */
const names = ['k', 'v', 'timeDecay', 'timeFirst', 'resets', 'mask', 'num', 'den', 'max'] as const
type Addresses = [number, number, number, number, number, number, number, number, number]

/** The weighted average of RWKV-4 in one pass each way; the backward pass computes states again, a chunk at a time. */
export const wkv4: OpKernel = {
  accepts: (inputs) => typesFit(inputs),

  forward(inputs, _attrs, backend) {
    const sizes = (inputs.k as TensorInfo).shape as [batch: number, time: number, width: number]
    const [batch, , width] = sizes
    const heap = heapOf(backend)
    const y = heap.output(sizes)
    const last = {
      num: heap.output([batch, width]),
      den: heap.output([batch, width]),
      max: heap.output([batch, width]),
    }
    const scratch = heap.scratch(heap.kernels.wkv4Scratch(width))
    const given = names.map((name) => heap.address(inputs[name])) as Addresses
    heap.kernels.wkv4(
      ...given,
      heap.address(y),
      heap.address(last.num),
      heap.address(last.den),
      heap.address(last.max),
      scratch,
      ...sizes,
    )
    return { y, ...last }
  },

  backward(dys, inputs, _outputs, _attrs, backend) {
    const sizes = (inputs.k as TensorInfo).shape as [batch: number, time: number, width: number]
    const heap = heapOf(backend)
    const grads = Object.fromEntries(Object.entries(inputs).map(([name, { shape }]) => [name, heap.output(shape)]))
    const scratch = heap.scratch(heap.kernels.wkv4BackwardScratch(sizes[1], sizes[2]))
    const given = names.map((name) => heap.address(inputs[name])) as Addresses
    const wanted = names.map((name) => heap.address(grads[name])) as Addresses
    heap.kernels.wkv4Backward(
      ...given,
      heap.address(dys.y),
      heap.address(dys.num),
      heap.address(dys.den),
      heap.address(dys.max),
      ...wanted,
      scratch,
      ...sizes,
    )
    return grads
  },
}
