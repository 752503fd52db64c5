import type { OpKernel } from '@mneme/core-tensor'
import { type TensorInfo, util } from '@tensorflow/tfjs-core'
import { heapOf, typesFit } from './heap.js'

type Inputs = { readonly x: TensorInfo; readonly weight?: TensorInfo; readonly bias?: TensorInfo }

/** Layer normalisation, row by row: each row is read from memory once in either direction. */
export const layerNorm: OpKernel = {
  accepts: (inputs) => typesFit(inputs),

  forward(inputs, { eps }, backend) {
    const { x, weight, bias } = inputs as Inputs
    const width = x.shape.at(-1) as number
    const count = util.sizeFromShape(x.shape) / width
    const heap = heapOf(backend)
    const y = heap.output(x.shape)
    const [from, scale, shift] = [heap.address(x), heap.address(weight), heap.address(bias)]
    heap.kernels.layerNorm(from, scale, shift, heap.address(y), count, width, eps as number)
    return { y }
  },

  backward(dys, inputs, _outputs, { eps }, backend) {
    const { x, weight, bias } = inputs as Inputs
    const width = x.shape.at(-1) as number
    const count = util.sizeFromShape(x.shape) / width
    const heap = heapOf(backend)
    const dx = heap.output(x.shape)
    const dweight = weight && heap.output(weight.shape)
    const dbias = bias && heap.output(bias.shape)
    heap.kernels.layerNormBackward(
      heap.address(x),
      heap.address(weight),
      heap.address(dys.y),
      heap.address(dx),
      heap.address(dweight),
      heap.address(dbias),
      count,
      width,
      eps as number,
    )
    return { x: dx, ...(dweight && { weight: dweight }), ...(dbias && { bias: dbias }) }
  },
}
