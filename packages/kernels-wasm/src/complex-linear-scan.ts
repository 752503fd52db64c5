import type { Infos, OpKernel } from '@mneme/core-tensor'
import type { TensorInfo } from '@tensorflow/tfjs-core'
import { heapOf, typesFit } from './heap.js'

type Sizes = [batch: number, time: number, width: number, sameReal: boolean, sameImaginary: boolean, reverse: boolean]

/** Sizes, and which parts of the factor are the same for all tokens. */
function sizesOf({ ar, ai, br }: Infos, reverse: unknown): Sizes {
  const [batch, time, width] = (br as TensorInfo).shape as [number, number, number]
  return [batch, time, width, ar?.shape.length === 1, ai?.shape.length === 1, reverse === true]
}

/** The scan over complex numbers in one pass each way; the backward pass makes all gradients together. */
export const complexLinearScan: OpKernel = {
  accepts: (inputs) => typesFit(inputs),

  forward(inputs, { reverse }, backend) {
    const { ar, ai, br, bi, h0r, h0i } = inputs
    const sizes = sizesOf(inputs, reverse)
    const [batch, time, width] = sizes
    const heap = heapOf(backend)
    const hr = heap.output([batch, time, width])
    const hi = heap.output([batch, time, width])
    const zeros = heap.scratch(4 * width)
    heap.kernels.complexLinearScan(
      heap.address(ar),
      heap.address(ai),
      heap.address(br),
      heap.address(bi),
      heap.address(h0r),
      heap.address(h0i),
      heap.address(hr),
      heap.address(hi),
      zeros,
      ...sizes,
    )
    return { hr, hi }
  },

  backward(dys, inputs, { hr, hi }, { reverse }, backend) {
    const { ar, ai, h0r, h0i } = inputs
    const sizes = sizesOf(inputs, reverse)
    const heap = heapOf(backend)
    const grads = Object.fromEntries(Object.entries(inputs).map(([name, { shape }]) => [name, heap.output(shape)]))
    const rows = heap.scratch(12 * sizes[2])
    heap.kernels.complexLinearScanBackward(
      heap.address(ar),
      heap.address(ai),
      heap.address(h0r),
      heap.address(h0i),
      heap.address(hr),
      heap.address(hi),
      heap.address(dys.hr),
      heap.address(dys.hi),
      heap.address(grads.ar),
      heap.address(grads.ai),
      heap.address(grads.br),
      heap.address(grads.bi),
      heap.address(grads.h0r),
      heap.address(grads.h0i),
      rows,
      ...sizes,
    )
    return grads
  },
}
