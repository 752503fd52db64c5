import type { OpKernel } from '@mneme/core-tensor'
import type { TensorInfo } from '@tensorflow/tfjs-core'
import { heapOf, typesFit } from './heap.js'

type Inputs = Readonly<Record<'x' | 'weight', TensorInfo>> & Readonly<Partial<Record<'bias' | 'tail', TensorInfo>>>
type Sizes = [batch: number, time: number, width: number, taps: number]

function sizesOf({ x, weight }: Inputs): Sizes {
  return [...x.shape, weight.shape[1]] as Sizes
}

/** Causal depthwise convolution in one pass each way; the tail is read where it lies, never joined to the sequence. */
export const shortConv: OpKernel = {
  accepts: (inputs) => typesFit(inputs),

  forward(inputs, _attrs, backend) {
    const { x, weight, bias, tail } = inputs as Inputs
    const sizes = sizesOf(inputs as Inputs)
    const [batch, , width, taps] = sizes
    const heap = heapOf(backend)
    const y = heap.output(x.shape)
    const last = heap.output([batch, taps - 1, width])
    const scratch = heap.scratch(heap.kernels.shortConvScratch(width, taps))
    heap.kernels.shortConv(
      heap.address(x),
      heap.address(weight),
      heap.address(bias),
      heap.address(tail),
      heap.address(y),
      heap.address(last),
      scratch,
      ...sizes,
    )
    return { y, tail: last }
  },

  backward(dys, inputs, _outputs, _attrs, backend) {
    const { x, weight, tail } = inputs as Inputs
    const sizes = sizesOf(inputs as Inputs)
    const [, , width, taps] = sizes
    const heap = heapOf(backend)
    const grads = Object.fromEntries(Object.entries(inputs).map(([name, { shape }]) => [name, heap.output(shape)]))
    const scratch = heap.scratch(heap.kernels.shortConvScratch(width, taps))
    heap.kernels.shortConvBackward(
      heap.address(x),
      heap.address(weight),
      heap.address(tail),
      heap.address(dys.y),
      heap.address(dys.tail),
      heap.address(grads.x),
      heap.address(grads.weight),
      heap.address(grads.bias),
      heap.address(grads.tail),
      scratch,
      ...sizes,
    )
    return grads
  },
}
