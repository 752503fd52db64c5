import type { OpKernel } from '@mneme/core-tensor'
import type { TensorInfo } from '@tensorflow/tfjs-core'
import { heapOf, typesFit } from './heap.js'

/** In the order of the kernels' arguments. */
const names = ['projected', 'weight', 'bias', 'resets', 'mask', 'h0', 'c0', 'n0', 'm0'] as const
type Addresses = [number, number, number, number, number, number, number, number, number]
const parts = ['h', 'c', 'n', 'm'] as const
type Parts = [number, number, number, number]

/** The whole loop of sLSTM in one call each way; the products of the backward pass are one over all tokens. */
export const slstm: OpKernel = {
  accepts: (inputs) => typesFit(inputs),

  forward(inputs, _attrs, backend) {
    const { batch, time, heads, head } = sizesOf(inputs)
    const heap = heapOf(backend)
    const outputs = Object.fromEntries(parts.map((name) => [name, heap.output([batch, time, heads * head])]))
    const scratch = heap.scratch(heap.kernels.slstmScratch(batch, heads, head))
    const given = names.map((name) => heap.address(inputs[name])) as Addresses
    const wanted = parts.map((name) => heap.address(outputs[name])) as Parts
    heap.kernels.slstm(...given, ...wanted, scratch, batch, time, heads, head)
    return outputs
  },

  backward(dys, inputs, outputs, _attrs, backend) {
    const { batch, time, heads, head } = sizesOf(inputs)
    const heap = heapOf(backend)
    const grads = Object.fromEntries(Object.entries(inputs).map(([name, { shape }]) => [name, heap.output(shape)]))
    const scratch = heap.scratch(heap.kernels.slstmBackwardScratch(batch, time, heads, head))
    const given = names.map((name) => heap.address(inputs[name])) as Addresses
    const states = parts.map((name) => heap.address(outputs[name])) as Parts
    const cotangents = parts.map((name) => heap.address(dys[name])) as Parts
    const wanted = names.map((name) => heap.address(grads[name])) as Addresses
    heap.kernels.slstmBackward(...given, ...states, ...cotangents, ...wanted, scratch, batch, time, heads, head)
    return grads
  },
}

function sizesOf({ projected, weight }: Readonly<Record<string, TensorInfo>>): {
  readonly batch: number
  readonly time: number
  readonly heads: number
  readonly head: number
} {
  const [batch, time] = (projected as TensorInfo).shape as [number, number]
  const [heads, , head] = (weight as TensorInfo).shape as [number, number, number]
  return { batch, time, heads, head }
}
