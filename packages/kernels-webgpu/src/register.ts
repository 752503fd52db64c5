import { registerOpKernel } from '@mneme/core-tensor'
import type { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu'
import { complexLinearScanKernel } from './complex-linear-scan.js'
import { layerNormKernel } from './layer-norm.js'
import { linearScanKernel } from './linear-scan.js'
import { rotaryKernel } from './rotary.js'
import { checkBackend } from './run.js'
import { selectiveScanKernel } from './selective-scan.js'
import { shortConvKernel } from './short-conv.js'
import { wkv4Kernel } from './wkv4.js'

/** The ops that have kernels here. */
export const kernelOps = [
  'complexLinearScan',
  'layerNorm',
  'linearScan',
  'rotary',
  'selectiveScan',
  'shortConv',
  'wkv4',
] as const

/**
 * Registers the WGSL kernels for a backend named 'webgpu'. `useWebGPU` does so; call it only for a backend of your own
 * making. Calling it again replaces them.
 *
 * @throws Error if tfjs-backend-webgpu is not of a version that the kernels can record into
 */
export function registerKernels(backend: WebGPUBackend): void {
  checkBackend(backend)
  const { maxBufferSize, maxStorageBufferBindingSize } = backend.device.limits
  const maxBufferBytes = Math.min(maxBufferSize, maxStorageBufferBindingSize)
  registerOpKernel('complexLinearScan', 'webgpu', complexLinearScanKernel(maxBufferBytes))
  registerOpKernel('layerNorm', 'webgpu', layerNormKernel(maxBufferBytes))
  registerOpKernel('linearScan', 'webgpu', linearScanKernel(maxBufferBytes))
  registerOpKernel('rotary', 'webgpu', rotaryKernel(maxBufferBytes))
  registerOpKernel('selectiveScan', 'webgpu', selectiveScanKernel(maxBufferBytes))
  registerOpKernel('shortConv', 'webgpu', shortConvKernel(maxBufferBytes))
  registerOpKernel('wkv4', 'webgpu', wkv4Kernel(maxBufferBytes))
}
