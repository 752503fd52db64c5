import type { BackendWasm } from '@tensorflow/tfjs-backend-wasm'
import { type KernelFunc, type TensorInfo, util } from '@tensorflow/tfjs-core'
import { heapOf } from './heap.js'

/**
 * The tfjs kernel `Tile` for repeats along one axis, as whole blocks of memory. The one it stands before looks up every
 * element by its indices, some thirty times slower; repeats along several axes are left to it.
 */
export function tileBeside(original: KernelFunc): KernelFunc {
  return (call) => {
    const { x } = call.inputs as { x: TensorInfo }
    const { reps } = call.attrs as unknown as { reps: readonly number[] }
    const repeated = reps.flatMap((times, axis) => (times === 1 ? [] : [axis]))
    const [axis] = repeated
    if (axis === undefined || repeated.length > 1 || x.dtype === 'string') return original(call)
    const times = reps[axis] as number
    const backend = call.backend as BackendWasm
    const out = heapOf(backend).output(
      x.shape.map((size, i) => size * (reps[i] as number)),
      x.dtype,
    )
    const block = util.sizeFromShape(x.shape.slice(axis))
    const from = backend.typedArrayFromHeap(x)
    const to = backend.typedArrayFromHeap(out)
    for (let start = 0; start < from.length; start += block) {
      const values = from.subarray(start, start + block)
      for (let copy = 0; copy < times; copy++) to.set(values, start * times + copy * block)
    }
    return out
  }
}
