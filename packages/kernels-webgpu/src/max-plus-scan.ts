import { dims, type OpKernel } from '@mneme/core-tensor'
import type { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu'
import { type TensorInfo, util } from '@tensorflow/tfjs-core'
import { fits } from './fits.js'
import { maxPlusShaders } from './max-plus-scan.wgsl.js'
import { runShader } from './run.js'

/**
 * The scan of `maxPlusScan`: one dispatch, whatever the length; its gradient is a `linearScan`. One invocation a channel,
 * sequential in time.
 *
 * @param maxBufferBytes largest buffer of the device; larger calls are refused, and the reference runs
 */
export function maxPlusScanKernel(maxBufferBytes: number): OpKernel {
  return {
    accepts: (inputs) => fits(inputs, util.sizeFromShape((inputs.b as TensorInfo).shape), maxBufferBytes),
    forward: (inputs, _attrs, backend) => {
      const { B, T, D } = dims('maxPlusScan b', inputs.b as TensorInfo, 'B T D')
      const shader = inputs.m0 === undefined ? maxPlusShaders.plain : maxPlusShaders.withState
      const { m } = runShader(backend as WebGPUBackend, shader, {
        sizes: { T, D },
        inputs,
        outputShapes: { m: [B, T, D] },
        invocations: B * D,
      })
      return { m: m as TensorInfo }
    },
  }
}
