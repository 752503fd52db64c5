import type { OpKernel } from '@mneme/core-tensor'
import type { TensorInfo } from '@tensorflow/tfjs-core'
import { heapOf, typesFit } from './heap.js'

type Inputs = Readonly<Record<'table' | 'ids', TensorInfo>>

/** Copies rows forward, adds rows up backward. An id outside the table is a RangeError. */
export const embedding: OpKernel = {
  accepts: (inputs) => typesFit(inputs, ['ids']),

  forward(inputs, _attrs, backend) {
    const { table, ids } = inputs as Inputs
    const [height, width] = table.shape as [number, number]
    const count = ids.shape[0] as number
    const heap = heapOf(backend)
    const y = heap.output([count, width])
    const bad = heap.kernels.embedding(heap.address(table), heap.address(ids), heap.address(y), count, width, height)
    if (bad >= 0) {
      heap.discard(y)
      const id = (backend.readSync(ids.dataId) as Int32Array)[bad]
      throw new RangeError(`embedding ids: expected ids in [0, V=${height}), got ${id} at position ${bad}.`)
    }
    return { y }
  },

  backward(dys, inputs, _outputs, _attrs, backend) {
    const { table, ids } = inputs as Inputs
    const [height, width] = table.shape as [number, number]
    const heap = heapOf(backend)
    const dtable = heap.output(table.shape)
    const count = ids.shape[0] as number
    heap.kernels.segmentSum(heap.address(dys.y), heap.address(ids), heap.address(dtable), count, width, height)
    return { table: dtable }
  },
}
