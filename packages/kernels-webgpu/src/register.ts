import { type OpKernel, registerOpKernel } from '@mneme/core-tensor'
import type { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu'
import { adamWKernel } from './adam-w.js'
import { complexLinearScanKernel } from './complex-linear-scan.js'
import { cosSinKernel } from './cos-sin.js'
import { crossEntropyKernel } from './cross-entropy.js'
import { deltaRuleKernel } from './delta-rule.js'
import { embeddingKernel } from './embedding.js'
import { gatedLinearAttentionKernel } from './gated-linear-attention.js'
import { geluKernel } from './gelu.js'
import { linearCrossEntropyKernel } from './linear-cross-entropy.js'
import { linearScanKernel } from './linear-scan.js'
import { maxPlusScanKernel } from './max-plus-scan.js'
import { minGruKernel } from './min-gru.js'
import { layerNormKernel, rmsNormKernel } from './norm.js'
import { rotaryKernel } from './rotary.js'
import { checkBackend } from './run.js'
import { selectiveScanKernel } from './selective-scan.js'
import { shortConvKernel } from './short-conv.js'
import { softmaxAttentionKernel } from './softmax-attention.js'
import { sruKernel } from './sru.js'
import { gruKernel, leakyRnnKernel, lstmKernel, slstmKernel } from './token-loop.js'
import { wkv4Kernel } from './wkv4.js'

/** What a device allows. */
interface Limits {
  readonly maxBufferBytes: number
  /** Storage buffers of one dispatch. */
  readonly maxBuffers: number
}

/** Every op that has a kernel here. */
const kernels: Readonly<Record<string, (limits: Limits) => OpKernel>> = {
  complexLinearScan: ({ maxBufferBytes }) => complexLinearScanKernel(maxBufferBytes),
  deltaRule: deltaRuleKernel,
  dplrDeltaRule: deltaRuleKernel,
  gatedLinearAttention: gatedLinearAttentionKernel,
  layerNorm: ({ maxBufferBytes }) => layerNormKernel(maxBufferBytes),
  linearScan: ({ maxBufferBytes }) => linearScanKernel(maxBufferBytes),
  maxPlusScan: ({ maxBufferBytes }) => maxPlusScanKernel(maxBufferBytes),
  rmsNorm: ({ maxBufferBytes }) => rmsNormKernel(maxBufferBytes),
  adamW: ({ maxBufferBytes }) => adamWKernel(maxBufferBytes),
  cosSin: ({ maxBufferBytes }) => cosSinKernel(maxBufferBytes),
  crossEntropy: ({ maxBufferBytes }) => crossEntropyKernel(maxBufferBytes),
  embedding: ({ maxBufferBytes }) => embeddingKernel(maxBufferBytes),
  gelu: ({ maxBufferBytes }) => geluKernel(maxBufferBytes),
  minGru: ({ maxBufferBytes }) => minGruKernel(maxBufferBytes),
  gru: ({ maxBufferBytes }) => gruKernel(maxBufferBytes),
  leakyRnn: ({ maxBufferBytes }) => leakyRnnKernel(maxBufferBytes),
  lstm: ({ maxBufferBytes }) => lstmKernel(maxBufferBytes),
  slstm: ({ maxBufferBytes }) => slstmKernel(maxBufferBytes),
  sru: ({ maxBufferBytes }) => sruKernel(maxBufferBytes),
  linearCrossEntropy: ({ maxBufferBytes }) => linearCrossEntropyKernel(maxBufferBytes),
  rotary: ({ maxBufferBytes }) => rotaryKernel(maxBufferBytes),
  selectiveScan: ({ maxBufferBytes }) => selectiveScanKernel(maxBufferBytes),
  shortConv: ({ maxBufferBytes }) => shortConvKernel(maxBufferBytes),
  softmaxAttention: ({ maxBufferBytes, maxBuffers }) =>
    softmaxAttentionKernel({ bufferBytes: maxBufferBytes, storageBuffers: maxBuffers }),
  wkv4: ({ maxBufferBytes }) => wkv4Kernel(maxBufferBytes),
}

export const kernelOps: readonly string[] = Object.keys(kernels)

/**
 * Registers the WGSL kernels for a backend named 'webgpu'. `useWebGPU` does so; call it only for a backend of your own
 * making. Calling it again replaces them.
 *
 * @throws Error if tfjs-backend-webgpu is not of a version that the kernels can record into
 */
export function registerKernels(backend: WebGPUBackend): void {
  checkBackend(backend)
  const { maxBufferSize, maxStorageBufferBindingSize, maxStorageBuffersPerShaderStage } = backend.device.limits
  const limits = {
    maxBufferBytes: Math.min(maxBufferSize, maxStorageBufferBindingSize),
    maxBuffers: maxStorageBuffersPerShaderStage,
  }
  for (const [op, kernel] of Object.entries(kernels)) registerOpKernel(op, 'webgpu', kernel(limits))
}
