import type { OpKernel } from '@mneme/core-tensor'
import type { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu'
import { type TensorInfo, util } from '@tensorflow/tfjs-core'
import { update } from './adam-w.wgsl.js'
import { bitsOf, fits } from './fits.js'
import { runShader } from './run.js'

/**
 * One AdamW update in one dispatch, in place of some fifteen. Corrections of the biases are worked out in float64.
 *
 * @param maxBufferBytes largest buffer of the device; larger calls are refused, and the reference runs
 */
export function adamWKernel(maxBufferBytes: number): OpKernel {
  return {
    accepts: (inputs) => fits(inputs, util.sizeFromShape((inputs.parameter as TensorInfo).shape), maxBufferBytes),
    forward: (inputs, attrs, backend) => {
      const { shape } = inputs.parameter as TensorInfo
      const { nextParameter, nextM, nextV } = runShader(backend as WebGPUBackend, update, {
        sizes: sizesOf(attrs as unknown as Attrs),
        inputs,
        outputShapes: { nextParameter: shape, nextM: shape, nextV: shape },
        invocations: util.sizeFromShape(shape),
      })
      return { parameter: nextParameter as TensorInfo, m: nextM as TensorInfo, v: nextV as TensorInfo }
    },
  }
}

type Attrs = Readonly<Record<'lr' | 'beta1' | 'beta2' | 'eps' | 'weightDecay' | 'step' | 'gradScale', number>>

function sizesOf({ lr, beta1, beta2, eps, weightDecay, step, gradScale }: Attrs): Record<string, number> {
  const factors = {
    gradScale,
    beta1,
    rest1: 1 - beta1,
    beta2,
    rest2: 1 - beta2,
    bias1: 1 - beta1 ** step,
    bias2: 1 - beta2 ** step,
    eps,
    lr,
    kept: 1 - lr * weightDecay,
  }
  return Object.fromEntries(Object.entries(factors).map(([name, value]) => [name, bitsOf(value)]))
}
