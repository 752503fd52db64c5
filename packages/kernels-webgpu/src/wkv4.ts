import type { Infos, OpKernel } from '@mneme/core-tensor'
import type { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu'
import type { TensorInfo } from '@tensorflow/tfjs-core'
import { fits, perForm, zerosOf } from './fits.js'
import { type Steps, stepsOn } from './steps.js'
import { backward, borders, chunk, type Form, forward, pack, parameters } from './wkv4.wgsl.js'

const keyOf = (form: Form): string => Object.values(form).join()
const shaders = { pack: perForm(pack, keyOf), parameters: perForm(parameters, keyOf) }

function formOf({ resets, mask, num, den, max }: Infos): Form {
  const has = (tensor: TensorInfo | undefined): boolean => tensor !== undefined
  return { resets: has(resets), mask: has(mask), num: has(num), den: has(den), max: has(max) }
}

function sizesOf({ k }: Infos): { B: number; T: number; D: number; chunks: number } {
  const [B, T, D] = (k as TensorInfo).shape as [number, number, number]
  return { B, T, D, chunks: Math.ceil(T / chunk) }
}

/**
 * The weighted average of RWKV-4: two dispatches forward, four backward (one more for resets and one for a mask),
 * whatever the length. One invocation a channel, sequential in time; the backward pass computes states again in chunks of
 * 16 tokens. At most 8 storage buffers a dispatch.
 *
 * @param maxBufferBytes largest buffer of the device; larger calls are refused, and the reference runs
 */
export function wkv4Kernel(maxBufferBytes: number): OpKernel {
  return {
    accepts: (inputs) => {
      const { B, T, D } = sizesOf(inputs)
      return fits(inputs, T === 0 ? 0 : B * Math.max(D * T, 5 * D + T), maxBufferBytes)
    },
    forward: (inputs, _attrs, backend) => {
      const steps = stepsOf(backend as WebGPUBackend, inputs, inputs)
      const { y, lastNum, lastDen, lastMax } = steps.run(forward, channelsOf(inputs))
      steps.discard('small')
      return { y, num: lastNum, den: lastDen, max: lastMax } as Infos
    },
    backward: (dys, inputs, _outputs, _attrs, given) => {
      const backend = given as WebGPUBackend
      const cotangents = { dy: dys.y, dLastNum: dys.num, dLastDen: dys.den, dLastMax: dys.max } as Infos
      const steps = stepsOf(backend, inputs, { ...inputs, ...cotangents })
      steps.run(borders, channelsOf(inputs))
      const grads = {
        ...steps.run(backward, channelsOf(inputs)),
        ...steps.run(shaders.parameters(formOf(inputs)), sizesOf(inputs).D),
        ...(inputs.resets && { dresets: zerosOf(backend, inputs.resets) }),
        ...(inputs.mask && { dmask: zerosOf(backend, inputs.mask) }),
      } as Infos
      steps.discard('small', 'states', 'ends')
      return Object.fromEntries(Object.keys(inputs).map((name) => [name, grads[`d${name}`] as TensorInfo]))
    },
  }
}

function channelsOf(inputs: Infos): number {
  const { B, D } = sizesOf(inputs)
  return B * D
}

/** The steps of one call, of which the first, packing, is done. */
function stepsOf(backend: WebGPUBackend, inputs: Infos, given: Infos): Steps {
  const { B, T, D, chunks } = sizesOf(inputs)
  const [sequence, row] = [
    [B, T, D],
    [B, D],
  ]
  const steps = stepsOn(backend, given, {
    sizes: { B, T, D, chunks, L: chunk },
    outputShapes: {
      small: [5 * B * D + B * T],
      states: [chunks + 1, B, D, 4],
      ends: [5, B, D],
      y: sequence,
      dk: sequence,
      dv: sequence,
      lastNum: row,
      lastDen: row,
      lastMax: row,
      dtimeDecay: [D],
      dtimeFirst: [D],
      dnum: row,
      dden: row,
      dmax: row,
    },
  })
  steps.run(shaders.pack(formOf(inputs)), B * D + B * T)
  return steps
}
