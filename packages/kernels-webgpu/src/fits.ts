import type { Infos } from '@mneme/core-tensor'
import type { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu'
import { type TensorInfo, util } from '@tensorflow/tfjs-core'
import type { Shader } from './run.js'
import { runShader } from './run.js'

/**
 * Why a kernel cannot take these inputs: another type, nothing to do, or a buffer of `elements` that is too large.
 *
 * @param whole inputs that are int32
 */
export function fits(
  inputs: Infos,
  elements: number,
  maxBufferBytes: number,
  whole: readonly string[] = [],
): true | string {
  for (const [name, { dtype }] of Object.entries(inputs)) {
    const needed = whole.includes(name) ? 'int32' : 'float32'
    if (dtype !== needed) return `needs ${needed}, ${name} is ${dtype}`
  }
  if (elements === 0) return 'there is nothing to compute'
  return 4 * elements <= maxBufferBytes || `needs buffers of ${4 * elements} bytes, device has ${maxBufferBytes}`
}

/** The bits of a float as a size: sizes are whole numbers. A shader reads it as `bitcast<f32>(sizes.name)`. */
export function bitsOf(value: number): number {
  return new Uint32Array(Float32Array.of(value).buffer)[0] as number
}

/** A shader for each form that is asked for, made once: `key` says all that its source depends on. */
export function perForm<F>(make: (form: F) => Shader, key: (form: F) => string): (form: F) => Shader {
  const made = new Map<string, Shader>()
  return (form) => {
    const known = made.get(key(form)) ?? make(form)
    made.set(key(form), known)
    return known
  }
}

const nothing: Shader = {
  name: 'zeros',
  sizes: [],
  inputs: [],
  outputs: ['y'],
  body: 'fn run(i: u32) { y[i] = 0.0; }',
}

/** Zeros of a tensor's shape, in one dispatch: the gradient of an input that is a constant. */
export function zerosOf(backend: WebGPUBackend, { shape }: TensorInfo): TensorInfo {
  const call = { sizes: {}, inputs: {}, outputShapes: { y: shape }, invocations: util.sizeFromShape([...shape]) }
  return runShader(backend, nothing, call).y as TensorInfo
}
