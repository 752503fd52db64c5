import { type KernelFunc, type TensorInfo, UnsortedSegmentSum, util } from '@tensorflow/tfjs-core'
import { heapOf } from './heap.js'

/** The tfjs kernel `UnsortedSegmentSum`, which the WASM backend lacks and the gradients of gathers need. */
export const segmentSum = {
  kernelName: UnsortedSegmentSum,
  backendName: 'wasm',
  kernelFunc: (({ inputs, attrs, backend }) => {
    const { x, segmentIds } = inputs as { x: TensorInfo; segmentIds: TensorInfo }
    const { numSegments } = attrs as unknown as { numSegments: number }
    if (x.dtype !== 'float32' && x.dtype !== 'int32') {
      throw new TypeError(`unsortedSegmentSum x: expected float32 or int32, got ${x.dtype}.`)
    }
    if (segmentIds.dtype !== 'int32') {
      throw new TypeError(`unsortedSegmentSum segmentIds: expected int32, got ${segmentIds.dtype}.`)
    }
    const heap = heapOf(backend as never)
    const inner = x.shape.slice(segmentIds.shape.length)
    const count = util.sizeFromShape(segmentIds.shape)
    const out = heap.output([numSegments, ...inner], x.dtype)
    const add = x.dtype === 'int32' ? heap.kernels.segmentSumInt : heap.kernels.segmentSum
    add(heap.address(x), heap.address(segmentIds), heap.address(out), count, util.sizeFromShape(inner), numSegments)
    return out
  }) as KernelFunc,
}
