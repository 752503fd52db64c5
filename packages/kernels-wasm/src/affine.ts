import type { OpKernel } from '@mneme/core-tensor'
import { type TensorInfo, util } from '@tensorflow/tfjs-core'
import { heapOf, typesFit } from './heap.js'

type Inputs = Readonly<Record<'x' | 'weight', TensorInfo>> & { readonly bias?: TensorInfo }

/** `x Wᵀ + b` as one matrix product; the backward pass makes all three gradients from two products and a sum. */
export const affine: OpKernel = {
  accepts: (inputs) => typesFit(inputs),

  forward(inputs, _attrs, backend) {
    const { x, weight, bias } = inputs as Inputs
    const [dOut, dIn] = weight.shape as [number, number]
    const count = util.sizeFromShape(x.shape) / dIn
    const heap = heapOf(backend)
    const y = heap.output([...x.shape.slice(0, -1), dOut])
    const out = heap.address(y)
    const scratch = heap.scratch(heap.kernels.matMulScratch(dOut, dIn))
    heap.kernels.matMul(heap.address(x), heap.address(weight), out, scratch, 1, 0, 0, count, dOut, dIn, false, true)
    if (bias) heap.kernels.addRow(out, heap.address(bias), count, dOut)
    return { y }
  },

  backward(dys, inputs, _outputs, _attrs, backend) {
    const { x, weight, bias } = inputs as Inputs
    const [dOut, dIn] = weight.shape as [number, number]
    const count = util.sizeFromShape(x.shape) / dIn
    const heap = heapOf(backend)
    const dx = heap.output(x.shape)
    const dweight = heap.output(weight.shape)
    const dbias = bias && heap.output(bias.shape)
    const dy = heap.address(dys.y)
    const { kernels } = heap
    const scratch = heap.scratch(Math.max(kernels.matMulScratch(dIn, dOut), kernels.matMulScratch(dIn, count)))
    kernels.matMul(dy, heap.address(weight), heap.address(dx), scratch, 1, 0, 0, count, dIn, dOut, false, false)
    kernels.matMul(dy, heap.address(x), heap.address(dweight), scratch, 1, 0, 0, dOut, dIn, count, true, false)
    if (dbias) kernels.sumRows(dy, heap.address(dbias), count, dOut)
    return { x: dx, weight: dweight, ...(dbias && { bias: dbias }) }
  },
}
