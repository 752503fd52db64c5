import type { Infos, OpKernel } from '@mneme/core-tensor'
import type { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu'
import type { TensorInfo } from '@tensorflow/tfjs-core'
import { fits, perForm } from './fits.js'
import {
  coefficients,
  groupSize,
  joined,
  piece,
  pieces,
  rows,
  toHidden,
  toWeight,
} from './linear-cross-entropy.wgsl.js'
import { stepsOn } from './steps.js'

const shaders = {
  pieces: perForm(pieces, String),
  joined: perForm(joined, String),
  toHidden: perForm(toHidden, String),
  toWeight: perForm(toWeight, String),
}

function sizesOf({ hidden, weight }: Infos): { N: number; D: number; V: number; pieces: number } {
  const [N, D] = (hidden as TensorInfo).shape as [number, number]
  const V = (weight as TensorInfo).shape[0] as number
  return { N, D, V, pieces: Math.ceil(V / piece) }
}

/**
 * Cross entropy of a linear map's outputs: two dispatches forward and three backward, whatever the sizes; of the logits,
 * those of 16 tokens and 64 words a workgroup stand at one time. `tokens` and `words` are not needed. Backward makes the
 * logits twice more, once for those who own tokens and once for those who own words, so that nothing is added atomically.
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
    backward: (dys, inputs, { lse }, _attrs, backend) => {
      const { N, D, V } = sizesOf(inputs)
      const bias = inputs.bias !== undefined
      const outputShapes = { given: [N, 3], dhidden: [N, D], dweight: [V, D], dbias: [V] }
      const known = { ...inputs, lse: lse as TensorInfo, dnll: dys.nll as TensorInfo, dlse: dys.lse as TensorInfo }
      const steps = stepsOn(backend as WebGPUBackend, known, { sizes: { N, D, V }, outputShapes })
      steps.run(coefficients, N)
      const { dhidden } = steps.run(shaders.toHidden(bias), Math.ceil(N / rows) * groupSize)
      const { dweight, dbias } = steps.run(shaders.toWeight(bias), Math.ceil(V / groupSize) * groupSize)
      steps.discard('given')
      return {
        hidden: dhidden as TensorInfo,
        weight: dweight as TensorInfo,
        ...(bias && { bias: dbias as TensorInfo }),
      }
    },
  }
}
