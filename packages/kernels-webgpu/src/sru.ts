import type { Infos, OpKernel } from '@mneme/core-tensor'
import type { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu'
import type { TensorInfo } from '@tensorflow/tfjs-core'
import { fits, perForm, zerosOf } from './fits.js'
import { backward, forward, pack, parameters } from './sru.wgsl.js'
import { type Steps, stepsOn } from './steps.js'

const shaders = { pack: perForm(pack, String), parameters: perForm(parameters, String) }

interface Sizes {
  readonly B: number
  readonly T: number
  readonly E: number
  /** Numbers that are packed. */
  readonly small: number
}

function sizesOf({ candidate }: Infos): Sizes {
  const [B, T, E] = (candidate as TensorInfo).shape as [number, number, number]
  return { B, T, E, small: (1 + B) * E + 2 * B * T }
}

/**
 * The cell of the simple recurrent unit: two dispatches forward; three backward, one more for resets and one for a mask,
 * whatever the length. One invocation a channel, sequential in time. At most 8 storage buffers a dispatch.
 *
 * @param maxBufferBytes largest buffer of the device; larger calls are refused, and the reference runs
 */
export function sruKernel(maxBufferBytes: number): OpKernel {
  return {
    accepts: (inputs) => {
      const { B, T, E, small } = sizesOf(inputs)
      return fits(inputs, B * T * E === 0 ? 0 : Math.max(B * T * E, 2 * B * E, small), maxBufferBytes)
    },
    forward: (inputs, _attrs, backend) => {
      const steps = prepared(backend as WebGPUBackend, inputs, inputs)
      const { B, E } = sizesOf(inputs)
      const outputs = steps.run(forward, B * E)
      steps.discard('small')
      return outputs
    },
    backward: (dys, inputs, outputs, _attrs, given) => {
      const backend = given as WebGPUBackend
      const steps = prepared(backend, inputs, { ...inputs, ...outputs, dc: dys.c as TensorInfo })
      const { B, E } = sizesOf(inputs)
      const grads = {
        ...steps.run(backward, B * E),
        ...steps.run(shaders.parameters(Object.keys(inputs)), B * E),
        ...(inputs.resets && { dresets: zerosOf(backend, inputs.resets) }),
        ...(inputs.mask && { dmask: zerosOf(backend, inputs.mask) }),
      } as Infos
      steps.discard('small', 'ends')
      return Object.fromEntries(Object.keys(inputs).map((name) => [name, grads[`d${name}`] as TensorInfo]))
    },
  }
}

/** The steps of one call, what is small packed already. */
function prepared(backend: WebGPUBackend, inputs: Infos, given: Infos): Steps {
  const { B, T, E, small } = sizesOf(inputs)
  const sequence = [B, T, E]
  const steps = stepsOn(backend, given, {
    sizes: { B, T, E },
    outputShapes: {
      small: [small],
      c: sequence,
      dcandidate: sequence,
      dforget: sequence,
      ends: [2, B, E],
      dpeephole: [E],
      dc0: [B, E],
    },
  })
  steps.run(shaders.pack(Object.keys(inputs)), small)
  return steps
}
