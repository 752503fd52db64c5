import type { Infos, OpKernel } from '@mneme/core-tensor'
import type { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu'
import type { TensorInfo } from '@tensorflow/tfjs-core'
import { fits, perForm } from './fits.js'
import { type Form, forward, parameters, partials, rows, stretch } from './short-conv.wgsl.js'
import { type Steps, stepsOn } from './steps.js'

const keyOf = ({ bias, tail }: Form): string => [bias, tail].join()
const shaders = {
  forward: perForm(forward, keyOf),
  rows: perForm(rows, keyOf),
  partials: perForm(partials, keyOf),
  parameters: perForm(parameters, keyOf),
}

function formOf({ bias, tail }: Infos): Form {
  return { bias: bias !== undefined, tail: tail !== undefined }
}

function sizesOf({ x, weight }: Infos): { B: number; T: number; D: number; W: number; parts: number } {
  const [B, T, D] = (x as TensorInfo).shape as [number, number, number]
  return { B, T, D, W: (weight as TensorInfo).shape[1] as number, parts: Math.ceil(T / stretch) }
}

/**
 * Causal depthwise convolution: one dispatch forward, three backward, whatever the length. One invocation a token and
 * channel; sums over tokens, for weight and bias, go by stretches of 64.
 *
 * @param maxBufferBytes largest buffer of the device; larger calls are refused, and the reference runs
 */
export function shortConvKernel(maxBufferBytes: number): OpKernel {
  return {
    accepts: (inputs) => {
      const { B, T, D, W, parts } = sizesOf(inputs)
      return fits(inputs, T === 0 ? 0 : B * D * Math.max(T, W - 1, parts * (W + 1)), maxBufferBytes)
    },
    forward: (inputs, _attrs, backend) => {
      const { B, T, D, W } = sizesOf(inputs)
      const steps = stepsOf(backend as WebGPUBackend, inputs, inputs)
      const { y, last } = steps.run(shaders.forward(formOf(inputs)), B * D * (T + W - 1))
      return { y, tail: last } as Infos
    },
    backward: (dys, inputs, _outputs, _attrs, backend) => {
      const { B, T, D, W, parts } = sizesOf(inputs)
      const form = formOf(inputs)
      const cotangents = { dy: dys.y, dlast: dys.tail } as Infos
      const steps = stepsOf(backend as WebGPUBackend, inputs, { ...inputs, ...cotangents })
      const sequences = steps.run(shaders.rows(form), B * D * (T + W - 1))
      steps.run(shaders.partials(form), B * parts * (W + 1) * D)
      const grads = { ...sequences, ...steps.run(shaders.parameters(form), (W + 1) * D) }
      steps.discard('sums')
      return Object.fromEntries(Object.keys(inputs).map((name) => [name, grads[`d${name}`] as TensorInfo]))
    },
  }
}

function stepsOf(backend: WebGPUBackend, inputs: Infos, given: Infos): Steps {
  const { B, T, D, W, parts } = sizesOf(inputs)
  const [sequence, tail] = [
    [B, T, D],
    [B, W - 1, D],
  ]
  return stepsOn(backend, given, {
    sizes: { B, T, D, W },
    outputShapes: {
      y: sequence,
      last: tail,
      dx: sequence,
      dtail: tail,
      sums: [B * parts, W + 1, D],
      dweight: [D, W],
      dbias: [D],
    },
  })
}
