import type { OpKernel } from '@mneme/core-tensor'
import { type TensorInfo, util } from '@tensorflow/tfjs-core'
import { heapOf, typesFit } from './heap.js'

/** Sum of squares in one pass. */
export const squaredNorm: OpKernel = {
  accepts: (inputs) => typesFit(inputs),

  forward(inputs, _attrs, backend) {
    const x = inputs.x as TensorInfo
    const heap = heapOf(backend)
    const value = heap.output([1])
    heap.kernels.squaredNorm(heap.address(x), heap.address(value), util.sizeFromShape(x.shape))
    return { value }
  },
}
