import type { Infos, OpKernel } from '@mneme/core-tensor'
import type { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu'
import { type TensorInfo, util } from '@tensorflow/tfjs-core'
import { fits, perForm } from './fits.js'
import { backward, forward } from './min-gru.wgsl.js'
import { runShader, type ShaderCall } from './run.js'

const shaders = { forward: perForm(forward, String), backward: perForm(backward, String) }

/**
 * minGRU from its projected input: one dispatch forward and one backward, whatever the length. One invocation a channel,
 * sequential in time.
 *
 * @param maxBufferBytes largest buffer of the device; larger calls are refused, and the reference runs
 */
export function minGruKernel(maxBufferBytes: number): OpKernel {
  return {
    accepts: (inputs) => fits(inputs, util.sizeFromShape((inputs.projected as TensorInfo).shape), maxBufferBytes),
    forward: (inputs, _attrs, backend) => {
      const shader = shaders.forward(inputs.h0 !== undefined)
      return runShader(backend as WebGPUBackend, shader, callOf(inputs, inputs))
    },
    backward: (dys, inputs, outputs, _attrs, backend) => {
      const shader = shaders.backward(inputs.h0 !== undefined)
      const given = { ...inputs, h: outputs.h as TensorInfo, dh: dys.h as TensorInfo }
      const { dprojected, dh0 } = runShader(backend as WebGPUBackend, shader, callOf(inputs, given))
      return { projected: dprojected as TensorInfo, ...(dh0 && { h0: dh0 }) }
    },
  }
}

function callOf({ projected }: Infos, given: Infos): ShaderCall {
  const [B, T, P] = (projected as TensorInfo).shape as [number, number, number]
  const E = P / 2
  return {
    sizes: { T, E },
    inputs: given,
    outputShapes: { h: [B, T, E], dprojected: [B, T, P], dh0: [B, E] },
    invocations: B * E,
  }
}
