import type { OpKernel } from '@mneme/core-tensor'
import type { TensorInfo } from '@tensorflow/tfjs-core'
import { heapOf, typesFit } from './heap.js'

type Inputs = Readonly<Record<'hidden' | 'weight' | 'targets', TensorInfo>> & { readonly bias?: TensorInfo }

/** Products and exponentials of 256 tokens by 512 words at a time, in both passes. */
export const linearCrossEntropy: OpKernel = {
  accepts: (inputs) => typesFit(inputs, ['targets']),

  forward(inputs, _attrs, backend) {
    const { hidden, weight, bias, targets } = inputs as Inputs
    const [N, D] = hidden.shape as [number, number]
    const heap = heapOf(backend)
    const nll = heap.output([N])
    const lse = heap.output([N])
    const scratch = heap.scratch(heap.kernels.linearCrossEntropyScratch(D))
    heap.kernels.linearCrossEntropy(
      heap.address(hidden),
      heap.address(weight),
      heap.address(bias),
      heap.address(targets),
      heap.address(nll),
      heap.address(lse),
      scratch,
      N,
      D,
      weight.shape[0] as number,
    )
    return { nll, lse }
  },

  backward(dys, inputs, outputs, _attrs, backend) {
    const { hidden, weight, bias, targets } = inputs as Inputs
    const [N, D] = hidden.shape as [number, number]
    const heap = heapOf(backend)
    const grads = {
      hidden: heap.output(hidden.shape),
      weight: heap.output(weight.shape),
      ...(bias && { bias: heap.output(bias.shape) }),
    }
    const scratch = heap.scratch(heap.kernels.linearCrossEntropyScratch(D))
    heap.kernels.linearCrossEntropyBackward(
      heap.address(hidden),
      heap.address(weight),
      heap.address(bias),
      heap.address(targets),
      heap.address(outputs.lse),
      heap.address(dys.nll),
      heap.address(dys.lse),
      heap.address(grads.hidden),
      heap.address(grads.weight),
      heap.address(grads.bias),
      scratch,
      N,
      D,
      weight.shape[0] as number,
    )
    return grads
  },
}
