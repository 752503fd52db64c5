import { registerOpKernel } from '@mneme/core-tensor'
import type { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu'
import { linearScanKernel } from './linear-scan.js'
import { checkBackend } from './run.js'
import { softmaxAttentionKernel } from './softmax-attention.js'

/** The ops that have kernels here. */
export const kernelOps = ['linearScan', 'softmaxAttention'] as const

/**
 * Registers the WGSL kernels for a backend named 'webgpu'. `useWebGPU` does so; call it only for a backend of your own
 * making. Calling it again replaces them.
 *
 * @throws Error if tfjs-backend-webgpu is not of a version that the kernels can record into
 */
export function registerKernels(backend: WebGPUBackend): void {
  checkBackend(backend)
  const { maxBufferSize, maxStorageBufferBindingSize, maxStorageBuffersPerShaderStage } = backend.device.limits
  const bufferBytes = Math.min(maxBufferSize, maxStorageBufferBindingSize)
  registerOpKernel('linearScan', 'webgpu', linearScanKernel(bufferBytes))
  registerOpKernel(
    'softmaxAttention',
    'webgpu',
    softmaxAttentionKernel({ bufferBytes, storageBuffers: maxStorageBuffersPerShaderStage }),
  )
}
