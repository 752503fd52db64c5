import type { OpKernel } from '@mneme/core-tensor'
import type { TensorInfo } from '@tensorflow/tfjs-core'
import { heapOf, typesFit } from './heap.js'

type Inputs = Readonly<Record<'projected', TensorInfo>> & { readonly h0?: TensorInfo }

/** Gates, candidate and recurrence of minGRU in one pass each way. */
export const minGru: OpKernel = {
  accepts: (inputs) => typesFit(inputs),

  forward(inputs, _attrs, backend) {
    const { projected, h0 } = inputs as Inputs
    const [batch, time, both] = projected.shape as [number, number, number]
    const heap = heapOf(backend)
    const h = heap.output([batch, time, both / 2])
    heap.kernels.minGru(heap.address(projected), heap.address(h0), heap.address(h), batch, time, both / 2)
    return { h }
  },

  backward(dys, inputs, outputs, _attrs, backend) {
    const { projected, h0 } = inputs as Inputs
    const [batch, time, both] = projected.shape as [number, number, number]
    const heap = heapOf(backend)
    const dprojected = heap.output(projected.shape)
    const dh0 = h0 && heap.output(h0.shape)
    heap.kernels.minGruBackward(
      heap.address(projected),
      heap.address(h0),
      heap.address(outputs.h),
      heap.address(dys.h),
      heap.address(dprojected),
      heap.address(dh0),
      heap.scratch(2 * both),
      batch,
      time,
      both / 2,
    )
    return { projected: dprojected, ...(dh0 && { h0: dh0 }) }
  },
}
