import type { Infos, OpKernel } from '@mneme/core-tensor'
import type { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu'
import type { TensorInfo } from '@tensorflow/tfjs-core'
import { type Cell, gru, leakyRnn, lstm, slstm } from './cells.wgsl.js'
import { bitsOf, fits, perForm, zerosOf } from './fits.js'
import { type Steps, stepsOn } from './steps.js'
import {
  before,
  type Form,
  floatsOf,
  forward,
  gatesOf,
  groupSizeOf,
  MOST_FLOATS,
  pack,
  planesOf,
  stack,
  tile,
  transpose,
} from './token-loop.wgsl.js'
import { parameters, reverse, startsOf } from './token-loop-backward.wgsl.js'

const keyOf = ({ cell, H, K, present }: Form): string => [cell.name, H, K, ...present].join()
const shaders = {
  pack: perForm(pack, keyOf),
  transpose: perForm(transpose, keyOf),
  forward: perForm(forward, keyOf),
  before: perForm(before, keyOf),
  gates: perForm(gatesOf, keyOf),
  stack: perForm(stack, keyOf),
  reverse: perForm(reverse, keyOf),
  parameters: perForm(parameters, keyOf),
  starts: perForm(startsOf, keyOf),
}

/** A weight without heads is one head. */
function formOf(cell: Cell, inputs: Infos): Form {
  const { shape } = inputs.weight as TensorInfo
  const H = shape.length === 3 ? (shape[0] as number) : 1
  return { cell, H, K: shape.at(-1) as number, present: Object.keys(inputs) }
}

interface Sizes {
  readonly B: number
  readonly T: number
  readonly E: number
  readonly P: number
}

function sizesOf({ H, K }: Form, { projected }: Infos): Sizes {
  const [B, T, P] = (projected as TensorInfo).shape as [number, number, number]
  return { B, T, E: H * K, P }
}

/**
 * The whole loop of a recurrent cell: three dispatches forward; six backward, one more each for a state of several parts,
 * for initial states, for resets and for a mask, whatever the length. A workgroup has one row of the batch, or one head
 * of it, to itself, with its state in workgroup memory; products of the backward pass are one over all tokens. At most 8
 * storage buffers a dispatch.
 *
 * @param maxBufferBytes largest buffer of the device; larger calls are refused, and the reference runs
 */
function tokenLoopKernel(cell: Cell, maxBufferBytes: number): OpKernel {
  const S = cell.states.length
  return {
    accepts: (inputs) => {
      const form = formOf(cell, inputs)
      const { B, T, E, P } = sizesOf(form, inputs)
      const floats = floatsOf(form)
      if (floats > MOST_FLOATS) {
        return `${form.K} units need ${4 * floats} bytes of workgroup memory, ${4 * MOST_FLOATS} are planned for`
      }
      const sequence = B * T * Math.max(P, planesOf(cell) * E, S * E)
      const most = Math.max(sequence, P * form.K, P + S * B * E + 2 * B * T)
      return fits(inputs, B * T * E === 0 ? 0 : most, maxBufferBytes)
    },
    forward: (inputs, attrs, backend) => {
      const form = formOf(cell, inputs)
      const steps = stepsOf(backend as WebGPUBackend, form, inputs, inputs, attrs)
      const { B } = prepare(steps, form, inputs)
      const outputs = steps.run(shaders.forward(form), B * form.H * groupSizeOf(form))
      steps.discard('small', 'columns')
      return outputs
    },
    backward: (dys, inputs, outputs, attrs, given) => {
      const backend = given as WebGPUBackend
      const form = formOf(cell, inputs)
      const cotangents = Object.fromEntries(cell.states.map((state) => [`d${state}`, dys[state] as TensorInfo]))
      const all = { ...inputs, ...outputs, ...cotangents, ...(S === 1 && { cotangents: dys.h as TensorInfo }) }
      const steps = stepsOf(backend, form, inputs, all, attrs)
      const { B, T, E, P } = prepare(steps, form, inputs)
      steps.run(shaders.before(form), B * T * E)
      steps.run(shaders.gates(form), Math.ceil((B * T) / tile) * P)
      if (S > 1) steps.run(shaders.stack(form), S * B * T * E, { all: B * T * E })
      const first = steps.run(shaders.reverse(form), B * form.H * groupSizeOf(form))
      const grads = {
        dprojected: first.dprojected,
        ...steps.run(shaders.parameters(form), P * form.K + (inputs.bias ? P : 0)),
        ...(cell.states.some((state) => inputs[`${state}0`]) && steps.run(shaders.starts(form), B * E, { all: B * E })),
        ...(inputs.resets && { dresets: zerosOf(backend, inputs.resets) }),
        ...(inputs.mask && { dmask: zerosOf(backend, inputs.mask) }),
      } as Infos
      steps.discard('small', 'columns', 'found', 'gates', 'ends')
      if (S > 1) steps.discard('cotangents')
      if (cell.apart) steps.discard('dproducts')
      return Object.fromEntries(Object.keys(inputs).map((name) => [name, grads[`d${name}`] as TensorInfo]))
    },
  }
}

/** What both passes begin with. */
function prepare(steps: Steps, form: Form, inputs: Infos): Sizes {
  const sizes = sizesOf(form, inputs)
  const { B, T, E, P } = sizes
  steps.run(shaders.pack(form), P + form.cell.states.length * B * E + 2 * B * T)
  steps.run(shaders.transpose(form), P * form.K)
  return sizes
}

function stepsOf(
  backend: WebGPUBackend,
  form: Form,
  inputs: Infos,
  given: Infos,
  attrs: Readonly<Record<string, unknown>>,
): Steps {
  const { cell, K } = form
  const S = cell.states.length
  const { B, T, E, P } = sizesOf(form, inputs)
  const each = <V>(value: V, name: (state: string) => string): Record<string, V> =>
    Object.fromEntries(cell.states.map((state) => [name(state), value]))
  return stepsOn(backend, given, {
    sizes: { B, T, ...Object.fromEntries(cell.attrs.map((name) => [name, bitsOf(attrs[name] as number)])) },
    outputShapes: {
      small: [P + S * B * E + 2 * B * T],
      columns: [P, K],
      found: [S, B, T, E],
      gates: [B, T, planesOf(cell) * E],
      cotangents: [S, B, T, E],
      dprojected: [B, T, P],
      dproducts: [B, T, P],
      ends: [S, B, E],
      dweight: (inputs.weight as TensorInfo).shape,
      dbias: [P],
      ...each([B, T, E], (state) => state),
      ...each([B, E], (state) => `d${state}0`),
    },
  })
}

type Make = (maxBufferBytes: number) => OpKernel
export const leakyRnnKernel: Make = (maxBufferBytes) => tokenLoopKernel(leakyRnn, maxBufferBytes)
export const gruKernel: Make = (maxBufferBytes) => tokenLoopKernel(gru, maxBufferBytes)
export const lstmKernel: Make = (maxBufferBytes) => tokenLoopKernel(lstm, maxBufferBytes)
export const slstmKernel: Make = (maxBufferBytes) => tokenLoopKernel(slstm, maxBufferBytes)
