import { registerOpKernel } from '@mneme/core-tensor'
import { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu'
import { env, findBackendFactory, registerBackend, removeBackend, setBackend } from '@tensorflow/tfjs-core'
import { type DeviceOptions, requestDevice, SoftwareAdapterError, type WebGPUDevice } from './device.js'
import { kernelOps, registerKernels } from './register.js'

export * from './device.js'
export { kernelOps, registerKernels } from './register.js'
export { runShader, type Shader, type ShaderCall, wgsl } from './run.js'

export interface UseWebGPUOptions extends DeviceOptions {
  /** Take an adapter that runs on the processor: for tests. It is far slower than the wasm backend. */
  readonly allowSoftware?: boolean
}

/** `MatMulProgramType.MatMulPackedProgram` of tfjs, which does not export it. */
const tiledMatMul = 3

let active: Promise<WebGPUDevice> | null = null

/**
 * Makes a device with all that the adapter has to give, makes it the tfjs backend 'webgpu', and registers the kernels.
 * Called again, it gives back the same device while that lives.
 *
 * @throws NoAdapterError if there is no adapter; SoftwareAdapterError if there is only one that runs on the processor
 */
export async function useWebGPU(options: UseWebGPUOptions = {}): Promise<WebGPUDevice> {
  const starting = active ?? start(options)
  active = starting
  const forget = (): void => {
    if (active === starting) active = null
  }
  starting.then(({ lost }) => lost.then(forget), forget)
  const found = await starting
  await setBackend('webgpu')
  return found
}

async function start(options: UseWebGPUOptions): Promise<WebGPUDevice> {
  const found = await requestDevice(options)
  if (found.software && options.allowSoftware !== true) {
    found.device.destroy()
    const { vendor, architecture } = found.info
    throw new SoftwareAdapterError(
      `useWebGPU: expected a graphics card, got the software adapter ${vendor} ${architecture}. Use @mneme/kernels-wasm, or pass allowSoftware.`,
    )
  }
  // tfjs would compute small ops on the processor, and some of those wait for the device, which Node cannot
  env().set('WEBGPU_CPU_FORWARD', false)
  // a software driver pays for every thread at every barrier: of the matmul programs of tfjs the tiled one has fewest
  if (found.software) env().set('WEBGPU_MATMUL_PROGRAM_TYPE', tiledMatMul)
  const backend = new WebGPUBackend(found.device, found.info as GPUAdapterInfo)
  registerKernels(backend)
  // tfjs registers a backend of its own on import where it sees WebGPU
  if (findBackendFactory('webgpu') !== null) removeBackend('webgpu')
  registerBackend('webgpu', () => backend, 3)
  return found
}

/** Frees the device with all its tensors and takes the backend away. Without one, does nothing. */
export async function disposeWebGPU(): Promise<void> {
  if (active === null) return
  const { device } = await active
  active = null
  for (const op of kernelOps) registerOpKernel(op, 'webgpu', null)
  removeBackend('webgpu')
  device.destroy()
}
