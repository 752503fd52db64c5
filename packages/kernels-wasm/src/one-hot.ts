import { type KernelBackend, type KernelFunc, type TensorInfo, util } from '@tensorflow/tfjs-core'
import { heapOf } from './heap.js'

interface Attrs {
  readonly dtype: string
  readonly depth: number
  readonly onValue: number
  readonly offValue: number
}

/**
 * The tfjs kernel `OneHot` for float32. The one it stands before writes integers whatever type is asked for, so that a 1
 * read as float32 is 1.4e-45; other types are left to it.
 */
export function oneHotBeside(original: KernelFunc): KernelFunc {
  return (call) => {
    const { dtype, depth, onValue, offValue } = call.attrs as unknown as Attrs
    const { indices } = call.inputs as { indices: TensorInfo }
    if (dtype !== 'float32' || indices.dtype !== 'int32') return original(call)
    const heap = heapOf(call.backend as KernelBackend)
    const out = heap.output([...indices.shape, depth])
    const count = util.sizeFromShape(indices.shape)
    heap.kernels.oneHot(heap.address(indices), heap.address(out), count, depth, onValue, offValue)
    return out
  }
}
