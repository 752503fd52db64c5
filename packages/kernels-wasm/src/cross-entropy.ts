import type { OpKernel } from '@mneme/core-tensor'
import type { TensorInfo } from '@tensorflow/tfjs-core'
import { heapOf, typesFit } from './heap.js'

type Inputs = Readonly<Record<'logits' | 'targets', TensorInfo>>

/** Log-sum-exp less the target's logit, without storing probabilities; the backward pass writes only the gradient. */
export const crossEntropy: OpKernel = {
  accepts: (inputs) => typesFit(inputs, ['targets']),

  forward(inputs, _attrs, backend) {
    const { logits, targets } = inputs as Inputs
    const [count, width] = logits.shape as [number, number]
    const heap = heapOf(backend)
    const nll = heap.output([count])
    heap.kernels.crossEntropy(heap.address(logits), heap.address(targets), heap.address(nll), count, width)
    return { nll }
  },

  backward(dys, inputs, outputs, _attrs, backend) {
    const { logits, targets } = inputs as Inputs
    const [count, width] = logits.shape as [number, number]
    const heap = heapOf(backend)
    const dlogits = heap.output(logits.shape)
    heap.kernels.crossEntropyBackward(
      heap.address(logits),
      heap.address(targets),
      heap.address(outputs.nll),
      heap.address(dys.nll),
      heap.address(dlogits),
      count,
      width,
    )
    return { logits: dlogits }
  },
}
