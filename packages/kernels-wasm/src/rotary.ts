import type { OpKernel } from '@mneme/core-tensor'
import type { TensorInfo } from '@tensorflow/tfjs-core'
import { heapOf, typesFit } from './heap.js'

type Inputs = Readonly<Record<'x' | 'cos' | 'sin', TensorInfo>>

/** Rotary positions in one pass. Its gradient is itself, by the opposite angles. */
export const rotary: OpKernel = {
  accepts(inputs) {
    const { x, cos } = inputs as Inputs
    if (2 * (cos.shape[2] as number) > (x.shape[3] as number)) return 'angles are for more features than heads have'
    return typesFit(inputs)
  },

  forward(inputs, { layout }, backend) {
    const { x, cos, sin } = inputs as Inputs
    const [batch, time, heads, width] = x.shape as [number, number, number, number]
    const heap = heapOf(backend)
    const y = heap.output(x.shape)
    heap.kernels.rotary(
      heap.address(x),
      heap.address(cos),
      heap.address(sin),
      heap.address(y),
      batch,
      time,
      heads,
      width,
      cos.shape[2] as number,
      cos.shape[0] === 1,
      layout === 'interleaved',
    )
    return { y }
  },
}
