import type { OpKernel } from '@mneme/core-tensor'
import { type TensorInfo, util } from '@tensorflow/tfjs-core'
import { heapOf, typesFit } from './heap.js'

type Inputs = { readonly x: TensorInfo; readonly weight?: TensorInfo }

/** Root mean square normalisation, row by row: each row is read from memory once in either direction. */
export const rmsNorm: OpKernel = {
  accepts: (inputs) => typesFit(inputs),

  forward(inputs, { eps }, backend) {
    const { x, weight } = inputs as Inputs
    const width = x.shape.at(-1) as number
    const count = util.sizeFromShape(x.shape) / width
    const heap = heapOf(backend)
    const y = heap.output(x.shape)
    heap.kernels.rmsNorm(heap.address(x), heap.address(weight), heap.address(y), count, width, eps as number)
    return { y }
  },

  backward(dys, inputs, _outputs, { eps }, backend) {
    const { x, weight } = inputs as Inputs
    const width = x.shape.at(-1) as number
    const count = util.sizeFromShape(x.shape) / width
    const heap = heapOf(backend)
    const dx = heap.output(x.shape)
    const dweight = weight && heap.output(weight.shape)
    heap.kernels.rmsNormBackward(
      heap.address(x),
      heap.address(weight),
      heap.address(dys.y),
      heap.address(dx),
      heap.address(dweight),
      count,
      width,
      eps as number,
    )
    return { x: dx, ...(dweight && { weight: dweight }) }
  },
}
