import type { OpKernel } from '@mneme/core-tensor'
import { type TensorInfo, util } from '@tensorflow/tfjs-core'
import { heapOf, typesFit } from './heap.js'

/** `x Φ(x)` and its slope, each in one pass. */
export const gelu: OpKernel = {
  accepts: (inputs) => typesFit(inputs),

  forward(inputs, _attrs, backend) {
    const x = inputs.x as TensorInfo
    const heap = heapOf(backend)
    const y = heap.output(x.shape)
    heap.kernels.gelu(heap.address(x), heap.address(y), util.sizeFromShape(x.shape))
    return { y }
  },

  backward(dys, inputs, _outputs, _attrs, backend) {
    const x = inputs.x as TensorInfo
    const heap = heapOf(backend)
    const dx = heap.output(x.shape)
    heap.kernels.geluBackward(heap.address(x), heap.address(dys.y), heap.address(dx), util.sizeFromShape(x.shape))
    return { x: dx }
  },
}
