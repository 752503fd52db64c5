import { registerOpKernel } from '@mneme/core-tensor'
import type { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu'
import { deltaRuleKernel } from './delta-rule.js'
import { gatedLinearAttentionKernel } from './gated-linear-attention.js'
import { linearScanKernel } from './linear-scan.js'
import { maxPlusScanKernel } from './max-plus-scan.js'
import { checkBackend } from './run.js'

/** The ops that have kernels here. */
export const kernelOps = ['deltaRule', 'dplrDeltaRule', 'gatedLinearAttention', 'linearScan', 'maxPlusScan'] as const

/**
 * Registers the WGSL kernels for a backend named 'webgpu'. `useWebGPU` does so; call it only for a backend of your own
 * making. Calling it again replaces them.
 *
 * @throws Error if tfjs-backend-webgpu is not of a version that the kernels can record into
 */
export function registerKernels(backend: WebGPUBackend): void {
  checkBackend(backend)
  const { maxBufferSize, maxStorageBufferBindingSize, maxStorageBuffersPerShaderStage } = backend.device.limits
  const maxBufferBytes = Math.min(maxBufferSize, maxStorageBufferBindingSize)
  const limits = { maxBufferBytes, maxBuffers: maxStorageBuffersPerShaderStage }
  for (const name of ['deltaRule', 'dplrDeltaRule']) registerOpKernel(name, 'webgpu', deltaRuleKernel(limits))
  registerOpKernel('gatedLinearAttention', 'webgpu', gatedLinearAttentionKernel(limits))
  registerOpKernel('linearScan', 'webgpu', linearScanKernel(maxBufferBytes))
  registerOpKernel('maxPlusScan', 'webgpu', maxPlusScanKernel(maxBufferBytes))
}
