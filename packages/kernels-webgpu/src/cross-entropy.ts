import type { OpKernel } from '@mneme/core-tensor'
import type { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu'
import type { TensorInfo } from '@tensorflow/tfjs-core'
import { backward, forward, groupSize } from './cross-entropy.wgsl.js'
import { fits } from './fits.js'
import { runShader } from './run.js'

/**
 * Cross entropy of given logits: one dispatch forward and one backward, a workgroup of 64 a row.
 *
 * @param maxBufferBytes largest buffer of the device; larger calls are refused, and the reference runs
 */
export function crossEntropyKernel(maxBufferBytes: number): OpKernel {
  return {
    accepts: (inputs) => {
      const [N, V] = (inputs.logits as TensorInfo).shape as [number, number]
      return fits(inputs, N * V, maxBufferBytes, ['targets'])
    },
    forward: (inputs, _attrs, backend) => {
      const [N, V] = (inputs.logits as TensorInfo).shape as [number, number]
      const call = { sizes: { V }, inputs, outputShapes: { nll: [N] }, invocations: N * groupSize }
      return runShader(backend as WebGPUBackend, forward, call)
    },
    backward: (dys, inputs, _outputs, _attrs, backend) => {
      const [N, V] = (inputs.logits as TensorInfo).shape as [number, number]
      const { dlogits } = runShader(backend as WebGPUBackend, backward, {
        sizes: { V },
        inputs: { ...inputs, dnll: dys.nll as TensorInfo },
        outputShapes: { dlogits: [N, V] },
        invocations: N * groupSize,
      })
      return { logits: dlogits as TensorInfo }
    },
  }
}
