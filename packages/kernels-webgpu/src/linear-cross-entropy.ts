import type { Infos, OpKernel } from '@mneme/core-tensor'
import type { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu'
import type { TensorInfo } from '@tensorflow/tfjs-core'
import { fits, perForm } from './fits.js'
import { groupSize, joined, piece, pieces, rows } from './linear-cross-entropy.wgsl.js'
import { stepsOn } from './steps.js'

const shaders = { pieces: perForm(pieces, String), joined: perForm(joined, String) }

function sizesOf({ hidden, weight }: Infos): { N: number; D: number; V: number; pieces: number } {
  const [N, D] = (hidden as TensorInfo).shape as [number, number]
  const V = (weight as TensorInfo).shape[0] as number
  return { N, D, V, pieces: Math.ceil(V / piece) }
}

/**
 * Cross entropy of a linear map's outputs: two dispatches forward, whatever the sizes, in place of a dozen a block; of the
 * logits, those of 16 tokens and 64 words a workgroup stand at one time. `tokens` and `words` are not needed. The gradient
 * is that of the op, in blocks: there tfjs has the products that it is made of.
 *
 * @param maxBufferBytes largest buffer of the device; larger calls are refused, and the reference runs
 */
export function linearCrossEntropyKernel(maxBufferBytes: number): OpKernel {
  return {
    accepts: (inputs) => {
      const { N, D, V, pieces } = sizesOf(inputs)
      const most = N * D * V === 0 ? 0 : Math.max(N * D, V * D, 2 * N * pieces)
      return fits(inputs, most, maxBufferBytes, ['targets'])
    },
    forward: (inputs, _attrs, backend) => {
      const { N, D, V, pieces } = sizesOf(inputs)
      const bias = inputs.bias !== undefined
      const outputShapes = { sums: [N, pieces, 2], nll: [N], lse: [N] }
      const steps = stepsOn(backend as WebGPUBackend, inputs, { sizes: { N, D, V, pieces }, outputShapes })
      steps.run(shaders.pieces(bias), Math.ceil(N / rows) * pieces * groupSize)
      const outputs = steps.run(shaders.joined(bias), N)
      steps.discard('sums')
      return outputs
    },
  }
}
