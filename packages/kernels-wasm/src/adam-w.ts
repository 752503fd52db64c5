import type { OpKernel } from '@mneme/core-tensor'
import { type TensorInfo, util } from '@tensorflow/tfjs-core'
import { heapOf, typesFit } from './heap.js'

type Inputs = Readonly<Record<'parameter' | 'grad' | 'm' | 'v', TensorInfo>>
type Attrs = Readonly<Record<'lr' | 'beta1' | 'beta2' | 'eps' | 'weightDecay' | 'step' | 'gradScale', number>>

/** One AdamW update in one pass over its four inputs; the bias corrections are worked out here in double precision. */
export const adamW: OpKernel = {
  accepts: (inputs) => typesFit(inputs),

  forward(inputs, attrs, backend) {
    const { parameter, grad, m, v } = inputs as Inputs
    const { lr, beta1, beta2, eps, weightDecay, step, gradScale } = attrs as Attrs
    const heap = heapOf(backend)
    const outputs = { parameter: heap.output(parameter.shape), m: heap.output(m.shape), v: heap.output(v.shape) }
    heap.kernels.adamW(
      heap.address(parameter),
      heap.address(grad),
      heap.address(m),
      heap.address(v),
      heap.address(outputs.parameter),
      heap.address(outputs.m),
      heap.address(outputs.v),
      util.sizeFromShape(parameter.shape),
      gradScale,
      beta1,
      1 - beta1,
      beta2,
      1 - beta2,
      lr / (1 - beta1 ** step),
      1 / Math.sqrt(1 - beta2 ** step),
      eps,
      1 - lr * weightDecay,
    )
    return outputs
  },
}
