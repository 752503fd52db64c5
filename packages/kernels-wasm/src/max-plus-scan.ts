import type { OpKernel } from '@mneme/core-tensor'
import type { TensorInfo } from '@tensorflow/tfjs-core'
import { heapOf, typesFit } from './heap.js'

type Inputs = Readonly<Record<'a' | 'b', TensorInfo>> & { readonly m0?: TensorInfo }

/** `m_t = max(a_t + m_{t-1}, b_t)` in one pass; its gradient is a `linearScan`. */
export const maxPlusScan: OpKernel = {
  accepts: (inputs) => typesFit(inputs),

  forward(inputs, _attrs, backend) {
    const { a, b, m0 } = inputs as Inputs
    const heap = heapOf(backend)
    const m = heap.output(b.shape)
    const [batch, time, width] = b.shape as [number, number, number]
    const { kernels } = heap
    kernels.maxPlusScan(heap.address(a), heap.address(b), heap.address(m0), heap.address(m), batch, time, width)
    return { m }
  },
}
