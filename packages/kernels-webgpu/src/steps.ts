import type { Infos } from '@mneme/core-tensor'
import type { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu'
import type { TensorInfo } from '@tensorflow/tfjs-core'
import { runShader, type Shader, type ShaderCall } from './run.js'

/** Shaders one after another, each seeing by name the outputs of those before it. */
export interface Steps {
  /** Runs a shader on what has been given and made so far, and returns its outputs; `more` are sizes of its own. */
  run(shader: Shader, invocations: number, more?: ShaderCall['sizes']): Infos
  /** Frees what was made only for later steps. */
  discard(...names: readonly string[]): void
}

/** Runs shaders one after another, where each may read what those before it gave, by name. */
export function stepsOn(backend: WebGPUBackend, given: Infos, call: Pick<ShaderCall, 'sizes' | 'outputShapes'>): Steps {
  const known: Record<string, TensorInfo> = { ...given }
  return {
    run(shader, invocations, more) {
      const sizes = { ...call.sizes, ...more }
      const outputs = runShader(backend, shader, { ...call, sizes, inputs: known, invocations })
      Object.assign(known, outputs)
      return outputs
    },
    discard(...names) {
      for (const name of names) backend.disposeData((known[name] as TensorInfo).dataId)
    },
  }
}
