import type { Infos, OpKernel } from '@mneme/core-tensor'
import type { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu'
import type { TensorInfo } from '@tensorflow/tfjs-core'
import { fits, perForm, zerosOf } from './fits.js'
import { borders, chunk, type Form, forward, prepare, reverse } from './selective-scan.wgsl.js'
import { matrices, parameters, sequences } from './selective-scan-gradient.wgsl.js'
import { type Steps, stepsOn } from './steps.js'

/** States of a channel that stay in registers. */
const MOST_STATES = 32

const keyOf = (form: Form): string => Object.values(form).join()
const shaders = {
  prepareForward: perForm((form: Form) => prepare(form, false), keyOf),
  prepareBackward: perForm((form: Form) => prepare(form, true), keyOf),
  forward: perForm(forward, keyOf),
  borders: perForm(borders, keyOf),
  reverse: perForm(reverse, keyOf),
  matrices: perForm(matrices, keyOf),
  sequences: perForm(sequences, keyOf),
  parameters: perForm(parameters, keyOf),
}

interface Sizes {
  readonly B: number
  readonly T: number
  readonly D: number
  readonly N: number
  readonly chunks: number
}

function sizesOf(inputs: Infos): Sizes {
  const [B, T, D] = (inputs.u as TensorInfo).shape as [number, number, number]
  return { B, T, D, N: (inputs.A as TensorInfo).shape[1] as number, chunks: Math.ceil(T / chunk) }
}

function formOf(inputs: Infos): Form {
  const has = (name: string): boolean => inputs[name] !== undefined
  const { N } = sizesOf(inputs)
  return { N, skip: has('skip'), deltaBias: has('deltaBias'), z: has('z'), resets: has('resets'), state: has('state') }
}

/**
 * Selective scan: two dispatches forward, six backward (one more where there are resets), whatever the length. One
 * invocation a channel walks time with its N <= 32 states in registers; the backward pass computes states again in
 * chunks of 16 tokens from those kept between them, B T D N / 16 numbers. At most 8 storage buffers a dispatch.
 *
 * @param maxBufferBytes largest buffer of the device; larger calls are refused, and the reference runs
 */
export function selectiveScanKernel(maxBufferBytes: number): OpKernel {
  return {
    accepts: (inputs) => {
      const { B, T, D, N, chunks } = sizesOf(inputs)
      if (N > MOST_STATES) return `N = ${N} states do not fit in registers, of which ${MOST_STATES} are planned for`
      return fits(inputs, B * D * Math.max(3 * T, (chunks + 2) * N + 2) * Math.sign(T * N), maxBufferBytes)
    },
    forward: (inputs, _attrs, backend) => {
      const steps = stepsOf(backend as WebGPUBackend, inputs, inputs)
      const form = formOf(inputs)
      const { B, T, D } = sizesOf(inputs)
      steps.run(shaders.prepareForward(form), B * T * D)
      const { y, last } = steps.run(shaders.forward(form), B * D)
      steps.discard('planes')
      return { y: y as TensorInfo, state: last as TensorInfo }
    },
    backward: (dys, inputs, _outputs, _attrs, given) => {
      const backend = given as WebGPUBackend
      const cotangents = { ...inputs, dy: dys.y as TensorInfo, dlast: dys.state as TensorInfo }
      const steps = stepsOf(backend, inputs, cotangents)
      const form = formOf(inputs)
      const { B, T, D, N, chunks } = sizesOf(inputs)
      steps.run(shaders.prepareBackward(form), B * T * D)
      steps.run(shaders.borders(form), B * D)
      steps.run(shaders.reverse(form), B * D)
      const grads = {
        ...steps.run(shaders.matrices(form), B * chunks * N),
        ...steps.run(shaders.sequences(form), B * T * D),
        ...steps.run(shaders.parameters(form), D * N),
        ...(inputs.resets && { dresets: zerosOf(backend, inputs.resets) }),
      } as Infos
      steps.discard('planes', 'xs', 'sums', 'ends')
      return Object.fromEntries(Object.keys(inputs).map((name) => [name, grads[`d${name}`] as TensorInfo]))
    },
  }
}

/** The steps of one call. */
function stepsOf(backend: WebGPUBackend, inputs: Infos, given: Infos): Steps {
  const { B, T, D, N, chunks } = sizesOf(inputs)
  const [sequence, matrix] = [
    [B, T, D],
    [B, T, N],
  ]
  const outputShapes = {
    planes: [3, B, T, D],
    sums: [3, B, T, D],
    xs: [B, chunks, D, N],
    ends: [B * D * ((chunks + 2) * N + 2)],
    y: sequence,
    last: [B, D, N],
    du: sequence,
    ddelta: sequence,
    dz: sequence,
    dBt: matrix,
    dC: matrix,
    dA: [D, N],
    dskip: [D],
    ddeltaBias: [D],
    dstate: [B, D, N],
  }
  return stepsOn(backend, given, { sizes: { B, T, D, chunks }, outputShapes })
}
