import type { Infos, OpKernel } from '@mneme/core-tensor'
import type { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu'
import { type TensorInfo, util } from '@tensorflow/tfjs-core'
import { bitsOf, fits, perForm } from './fits.js'
import { type Form, forward, groupSize, parameters, partials, rows, stretch } from './norm.wgsl.js'
import { type Steps, stepsOn } from './steps.js'

const keyOf = ({ centred, weight, bias }: Form): string => [centred, weight, bias].join()
const shaders = {
  forward: perForm(forward, keyOf),
  rows: perForm(rows, keyOf),
  parameters: perForm(parameters, keyOf),
}

function formOf(centred: boolean, { weight, bias }: Infos): Form {
  return { centred, weight: weight !== undefined, bias: bias !== undefined }
}

function sizesOf({ x }: Infos): { N: number; D: number; parts: number } {
  const { shape } = x as TensorInfo
  const D = shape.at(-1) as number
  const N = D === 0 ? 0 : util.sizeFromShape(shape) / D
  return { N, D, parts: Math.ceil(N / stretch) }
}

/**
 * Layer and root mean square normalisation: one dispatch forward; one backward, or three with weight or bias. A workgroup of 64 shares a row;
 * sums over rows, for weight and bias, go by stretches of 64.
 *
 * @param maxBufferBytes largest buffer of the device; larger calls are refused, and the reference runs
 */
function normKernel(centred: boolean, maxBufferBytes: number): OpKernel {
  return {
    accepts: (inputs) => {
      const { N, D, parts } = sizesOf(inputs)
      return fits(inputs, Math.max(N * D, 2 * parts * D), maxBufferBytes)
    },
    forward: (inputs, attrs, backend) => {
      const steps = stepsOf(backend as WebGPUBackend, inputs, inputs, attrs)
      return steps.run(shaders.forward(formOf(centred, inputs)), sizesOf(inputs).N * groupSize)
    },
    backward: (dys, inputs, _outputs, attrs, backend) => {
      const { N, D, parts } = sizesOf(inputs)
      const form = formOf(centred, inputs)
      const steps = stepsOf(backend as WebGPUBackend, inputs, { ...inputs, dy: dys.y as TensorInfo }, attrs)
      const { dx } = steps.run(shaders.rows(form), N * groupSize)
      let grads: Infos = { dx: dx as TensorInfo }
      if (form.weight || form.bias) {
        steps.run(partials, parts * D)
        grads = { ...grads, ...steps.run(shaders.parameters(form), D) }
        steps.discard('sums')
      }
      steps.discard('stats')
      return Object.fromEntries(Object.keys(inputs).map((name) => [name, grads[`d${name}`] as TensorInfo]))
    },
  }
}

export const layerNormKernel = (maxBufferBytes: number): OpKernel => normKernel(true, maxBufferBytes)
export const rmsNormKernel = (maxBufferBytes: number): OpKernel => normKernel(false, maxBufferBytes)

function stepsOf(
  backend: WebGPUBackend,
  inputs: Infos,
  given: Infos,
  { eps }: Readonly<Record<string, unknown>>,
): Steps {
  const { N, D, parts } = sizesOf(inputs)
  const { shape } = inputs.x as TensorInfo
  return stepsOn(backend, given, {
    sizes: { N, D, eps: bitsOf(eps as number) },
    outputShapes: { y: shape, dx: shape, stats: [N, 2], sums: [parts, 2, D], dweight: [D], dbias: [D] },
  })
}
