import type { BackendWasm } from '@tensorflow/tfjs-backend-wasm'
import type { KernelFunc, TensorInfo } from '@tensorflow/tfjs-core'

/**
 * The tfjs kernel `Identity`, which every `clone` calls. The one it stands before copies the values; tensors never
 * change, so both may own the same ones, as on other backends.
 */
export function identityBeside(original: KernelFunc): KernelFunc {
  return (call) => {
    const { x } = call.inputs as { x: TensorInfo }
    if (x.dtype === 'string') return original(call)
    const backend = call.backend as BackendWasm
    backend.incRef(x.dataId)
    return { dataId: x.dataId, shape: x.shape, dtype: x.dtype }
  }
}
