import type { Infos, OpKernel } from '@mneme/core-tensor'
import type { TensorInfo } from '@tensorflow/tfjs-core'
import { heapOf, typesFit } from './heap.js'

/** In the order of the kernels' arguments. */
const names = ['u', 'delta', 'A', 'Bt', 'C', 'skip', 'deltaBias', 'z', 'resets', 'state'] as const
type Addresses = [number, number, number, number, number, number, number, number, number, number]

function sizesOf({ u, A }: Infos): [batch: number, time: number, width: number, states: number] {
  return [...(u as TensorInfo).shape, (A as TensorInfo).shape[1]] as [number, number, number, number]
}

/**
 * Selective scan in one pass each way, four channels to a vector. Nothing of size T D N is kept: the backward pass
 * computes states again, a chunk at a time.
 */
export const selectiveScan: OpKernel = {
  accepts: (inputs) => typesFit(inputs),

  forward(inputs, _attrs, backend) {
    const sizes = sizesOf(inputs)
    const [batch, , width, states] = sizes
    const heap = heapOf(backend)
    const y = heap.output((inputs.u as TensorInfo).shape)
    const state = heap.output([batch, width, states])
    const scratch = heap.scratch(heap.kernels.selectiveScanScratch(width, states))
    const given = names.map((name) => heap.address(inputs[name])) as Addresses
    heap.kernels.selectiveScan(...given, heap.address(y), heap.address(state), scratch, ...sizes)
    return { y, state }
  },

  backward(dys, inputs, _outputs, _attrs, backend) {
    const sizes = sizesOf(inputs)
    const [, time, width, states] = sizes
    const heap = heapOf(backend)
    const grads = Object.fromEntries(Object.entries(inputs).map(([name, { shape }]) => [name, heap.output(shape)]))
    const scratch = heap.scratch(heap.kernels.selectiveScanBackwardScratch(time, width, states))
    const given = names.map((name) => heap.address(inputs[name])) as Addresses
    const wanted = names.map((name) => heap.address(grads[name])) as Addresses
    heap.kernels.selectiveScanBackward(
      ...given,
      heap.address(dys.y),
      heap.address(dys.state),
      ...wanted,
      scratch,
      ...sizes,
    )
    return grads
  },
}
