import { dims, type Infos, type OpKernel } from '@mneme/core-tensor'
import type { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu'
import { type TensorInfo, util } from '@tensorflow/tfjs-core'
import { fits } from './fits.js'
import { backwardShaders, forwardShaders } from './linear-scan.wgsl.js'
import { runShader, type ShaderCall } from './run.js'

/**
 * The scan of `linearScan`: one dispatch forward and one backward, whatever the length.
 *
 * One invocation a channel, sequential in time: memory is read and written once, and the parallel width is B D. Below
 * some thousand channels a large GPU is not filled.
 *
 * @param maxBufferBytes largest buffer of the device; larger calls are refused, and the reference runs
 */
export function linearScanKernel(maxBufferBytes: number): OpKernel {
  return {
    accepts: (inputs) => fits(inputs, util.sizeFromShape((inputs.a as TensorInfo).shape), maxBufferBytes),
    forward: (inputs, attrs, backend) => {
      const shader = inputs.h0 === undefined ? forwardShaders.plain : forwardShaders.withState
      const { h } = runShader(backend as WebGPUBackend, shader, callOf(inputs, attrs, inputs))
      return { h: h as TensorInfo }
    },
    backward: (dys, inputs, outputs, attrs, backend) => {
      const shader = inputs.h0 === undefined ? backwardShaders.plain : backwardShaders.withState
      const given = { ...inputs, h: outputs.h as TensorInfo, dh: dys.h as TensorInfo }
      const { da, db, dh0 } = runShader(backend as WebGPUBackend, shader, callOf(inputs, attrs, given))
      return { a: da as TensorInfo, b: db as TensorInfo, ...(dh0 && { h0: dh0 }) }
    },
  }
}

function callOf(inputs: Infos, attrs: Readonly<Record<string, unknown>>, given: Infos): ShaderCall {
  const { B, T, D } = dims('linearScan a', inputs.a as TensorInfo, 'B T D')
  const sequence = [B, T, D]
  return {
    sizes: { T, D, backwards: attrs.reverse === true ? 1 : 0 },
    inputs: given,
    outputShapes: { h: sequence, da: sequence, db: sequence, dh0: [B, D] },
    invocations: B * D,
  }
}
