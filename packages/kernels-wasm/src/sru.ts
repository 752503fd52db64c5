import type { OpKernel } from '@mneme/core-tensor'
import type { TensorInfo } from '@tensorflow/tfjs-core'
import { heapOf, typesFit } from './heap.js'

/** In the order of the kernels' arguments. */
const names = ['candidate', 'forget', 'peephole', 'resets', 'mask', 'c0'] as const
type Addresses = [number, number, number, number, number, number]

/** The whole loop of an SRU cell in one call each way. */
export const sru: OpKernel = {
  accepts: (inputs) => typesFit(inputs),

  forward(inputs, _attrs, backend) {
    const sizes = (inputs.candidate as TensorInfo).shape as [batch: number, time: number, width: number]
    const [batch, , width] = sizes
    const heap = heapOf(backend)
    const c = heap.output(sizes)
    const state = heap.scratch(4 * batch * width)
    const given = names.map((name) => heap.address(inputs[name])) as Addresses
    heap.kernels.sru(...given, heap.address(c), state, ...sizes)
    return { c }
  },

  backward(dys, inputs, outputs, _attrs, backend) {
    const sizes = (inputs.candidate as TensorInfo).shape as [batch: number, time: number, width: number]
    const [batch, time, width] = sizes
    const heap = heapOf(backend)
    const grads = Object.fromEntries(Object.entries(inputs).map(([name, { shape }]) => [name, heap.output(shape)]))
    const before = heap.scratch(4 * batch * (time + 1) * width)
    const given = names.map((name) => heap.address(inputs[name])) as Addresses
    const wanted = names.map((name) => heap.address(grads[name])) as Addresses
    heap.kernels.sruBackward(
      ...given,
      heap.address(outputs.c),
      heap.address(dys.c),
      ...wanted,
      before,
      before + 4 * batch * time * width,
      ...sizes,
    )
    return grads
  },
}
