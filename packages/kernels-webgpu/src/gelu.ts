import type { OpKernel } from '@mneme/core-tensor'
import type { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu'
import { type TensorInfo, util } from '@tensorflow/tfjs-core'
import { fits } from './fits.js'
import { backward, forward } from './gelu.wgsl.js'
import { runShader } from './run.js'

/**
 * The exact GELU: one dispatch forward and one backward.
 *
 * @param maxBufferBytes largest buffer of the device; larger calls are refused, and the reference runs
 */
export function geluKernel(maxBufferBytes: number): OpKernel {
  return {
    accepts: (inputs) => fits(inputs, util.sizeFromShape((inputs.x as TensorInfo).shape), maxBufferBytes),
    forward: (inputs, _attrs, backend) => {
      const { shape } = inputs.x as TensorInfo
      const call = { sizes: {}, inputs, outputShapes: { y: shape }, invocations: util.sizeFromShape(shape) }
      return runShader(backend as WebGPUBackend, forward, call)
    },
    backward: (dys, inputs, _outputs, _attrs, backend) => {
      const { shape } = inputs.x as TensorInfo
      const { dx } = runShader(backend as WebGPUBackend, backward, {
        sizes: {},
        inputs: { ...inputs, dy: dys.y as TensorInfo },
        outputShapes: { dx: shape },
        invocations: util.sizeFromShape(shape),
      })
      return { x: dx as TensorInfo }
    },
  }
}
