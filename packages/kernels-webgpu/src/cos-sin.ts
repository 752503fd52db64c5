import type { OpKernel } from '@mneme/core-tensor'
import type { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu'
import { type TensorInfo, util } from '@tensorflow/tfjs-core'
import { forward } from './cos-sin.wgsl.js'
import { fits } from './fits.js'
import { runShader } from './run.js'

/**
 * Cosine and sine with all the digits of float32, in one dispatch.
 *
 * @param maxBufferBytes largest buffer of the device; larger calls are refused, and the reference runs
 */
export function cosSinKernel(maxBufferBytes: number): OpKernel {
  return {
    accepts: (inputs) => fits(inputs, util.sizeFromShape((inputs.angle as TensorInfo).shape), maxBufferBytes),
    forward: (inputs, _attrs, backend) => {
      const { shape } = inputs.angle as TensorInfo
      const { cosine, sine } = runShader(backend as WebGPUBackend, forward, {
        sizes: {},
        inputs,
        outputShapes: { cosine: shape, sine: shape },
        invocations: util.sizeFromShape(shape),
      })
      return { cos: cosine as TensorInfo, sin: sine as TensorInfo }
    },
  }
}
