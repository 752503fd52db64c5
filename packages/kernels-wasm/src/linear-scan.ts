import type { OpKernel } from '@mneme/core-tensor'
import type { TensorInfo } from '@tensorflow/tfjs-core'
import { heapOf, typesFit } from './heap.js'

type Inputs = Readonly<Record<'a' | 'b', TensorInfo>> & { readonly h0?: TensorInfo }

/** `h_t = a_t h_{t-1} + b_t` in one pass each way; the backward pass makes all three gradients together. */
export const linearScan: OpKernel = {
  accepts: (inputs) => typesFit(inputs),

  forward(inputs, { reverse }, backend) {
    const { a, b, h0 } = inputs as Inputs
    const [batch, time, width] = a.shape as [number, number, number]
    const heap = heapOf(backend)
    const h = heap.output(a.shape)
    heap.kernels.linearScan(
      heap.address(a),
      heap.address(b),
      heap.address(h0),
      heap.address(h),
      batch,
      time,
      width,
      reverse === true,
    )
    return { h }
  },

  backward(dys, inputs, outputs, { reverse }, backend) {
    const { a, h0 } = inputs as Inputs
    const [batch, time, width] = a.shape as [number, number, number]
    const heap = heapOf(backend)
    const da = heap.output(a.shape)
    const db = heap.output(a.shape)
    const dh0 = h0 && heap.output(h0.shape)
    heap.kernels.linearScanBackward(
      heap.address(a),
      heap.address(h0),
      heap.address(outputs.h),
      heap.address(dys.h),
      heap.address(da),
      heap.address(db),
      heap.address(dh0),
      batch,
      time,
      width,
      reverse === true,
    )
    return { a: da, b: db, ...(dh0 && { h0: dh0 }) }
  },
}
