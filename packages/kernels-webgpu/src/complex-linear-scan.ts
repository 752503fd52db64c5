import { dims, type Infos, type OpKernel } from '@mneme/core-tensor'
import type { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu'
import { type TensorInfo, util } from '@tensorflow/tfjs-core'
import { backward, type Form, factorGradient, forward, rowSum } from './complex-linear-scan.wgsl.js'
import { fits, perForm } from './fits.js'
import { runShader, type ShaderCall } from './run.js'

const keyOf = ({ constant, h0r, h0i }: Form): string => [constant, h0r, h0i].join()
const shaders = {
  forward: perForm(forward, keyOf),
  backward: perForm(backward, keyOf),
  factor: perForm(factorGradient, keyOf),
}

function formOf({ ar, h0r, h0i }: Infos): Form {
  return { constant: ar?.shape.length === 1, h0r: h0r !== undefined, h0i: h0i !== undefined }
}

/**
 * The scan of `complexLinearScan`: one dispatch forward; two backward, and a third where the factor is the same for all
 * tokens. One invocation a channel, sequential in time; at most 8 storage buffers.
 *
 * @param maxBufferBytes largest buffer of the device; larger calls are refused, and the reference runs
 */
export function complexLinearScanKernel(maxBufferBytes: number): OpKernel {
  return {
    accepts: (inputs) => {
      const { ar, ai, br } = inputs as Infos & Record<'ar' | 'ai' | 'br', TensorInfo>
      if (ar.shape.length !== ai.shape.length) return 'the parts of a have different forms'
      return fits(inputs, util.sizeFromShape(br.shape), maxBufferBytes)
    },
    forward: (inputs, attrs, backend) =>
      runShader(backend as WebGPUBackend, shaders.forward(formOf(inputs)), callOf(inputs, attrs, inputs)),
    backward: (dys, inputs, { hr, hi }, attrs, given) => {
      const backend = given as WebGPUBackend
      const form = formOf(inputs)
      const cotangents = { ...inputs, dhr: dys.hr as TensorInfo, dhi: dys.hi as TensorInfo }
      const grads = runShader(backend, shaders.backward(form), callOf(inputs, attrs, cotangents))
      const { dbr, dbi, dh0r, dh0i } = grads as { [Name in 'dbr' | 'dbi']: TensorInfo } & Infos
      const known = { ...inputs, dbr, dbi, hr: hr as TensorInfo, hi: hi as TensorInfo }
      const { dar, dai } = factorOf(backend, form, callOf(inputs, attrs, known))
      return { ar: dar, ai: dai, br: dbr, bi: dbi, ...(dh0r && { h0r: dh0r }), ...(dh0i && { h0i: dh0i }) }
    },
  }
}

function factorOf(backend: WebGPUBackend, form: Form, call: ShaderCall): { dar: TensorInfo; dai: TensorInfo } {
  const { dar, dai } = runShader(backend, shaders.factor(form), call) as { dar: TensorInfo; dai: TensorInfo }
  if (!form.constant) return { dar, dai }
  const [B, D] = dar.shape as [number, number]
  const sums = { sizes: { B, D }, inputs: { re: dar, im: dai }, outputShapes: { dar: [D], dai: [D] }, invocations: D }
  const summed = runShader(backend, rowSum, sums) as { dar: TensorInfo; dai: TensorInfo }
  backend.disposeData(dar.dataId)
  backend.disposeData(dai.dataId)
  return summed
}

function callOf(inputs: Infos, attrs: Readonly<Record<string, unknown>>, given: Infos): ShaderCall {
  const { B, T, D } = dims('complexLinearScan br', inputs.br as TensorInfo, 'B T D')
  const [sequence, row] = [
    [B, T, D],
    [B, D],
  ]
  const factor = formOf(inputs).constant ? row : sequence
  return {
    sizes: { T, D, backwards: attrs.reverse === true ? 1 : 0 },
    inputs: given,
    outputShapes: {
      hr: sequence,
      hi: sequence,
      dbr: sequence,
      dbi: sequence,
      dar: factor,
      dai: factor,
      dh0r: row,
      dh0i: row,
    },
    invocations: B * D,
  }
}
