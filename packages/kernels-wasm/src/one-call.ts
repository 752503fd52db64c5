import type { Infos, OpKernel } from '@mneme/core-tensor'
import { type TensorInfo, util } from '@tensorflow/tfjs-core'
import type { Kernels } from './gen/kernels.js'
import { heapOf, typesFit } from './heap.js'

type Attrs = Readonly<Record<string, unknown>>

/** A kernel of ours: all arguments are addresses, numbers and flags. */
type Call = (...args: number[]) => void

interface OneCallBackward<S> {
  readonly call: (kernels: Kernels) => Call
  /** Inputs that the call takes, in its order; those of the forward call if absent. */
  readonly inputs?: readonly string[]
  /** Whether outputs follow them. */
  readonly seesOutputs: boolean
  readonly scratch?: (kernels: Kernels, sizes: S) => readonly number[]
}

/** An op that is one call of a kernel each way. S: the sizes, and flags as 0 or 1, that both calls end with. */
export interface OneCall<S> {
  /** In the order of the forward call's arguments; those that are absent are 0. Gradients come in this order too. */
  readonly inputs: readonly string[]
  /** Those of them that are int32, which have no gradient. */
  readonly ints?: readonly string[]
  readonly sizes: (inputs: Infos, attrs: Attrs) => S
  /** Shapes of the outputs, in the order of the arguments. */
  readonly outputs: (sizes: S, inputs: Infos) => Readonly<Record<string, readonly number[]>>
  readonly call: (kernels: Kernels) => Call
  /** Bytes of each region of working memory that the call takes. */
  readonly scratch?: (kernels: Kernels, sizes: S) => readonly number[]
  /** Absent where the gradient is made of other ops. */
  readonly backward?: OneCallBackward<S>
}

/**
 * The kernel of an op whose work is one call each way:
 *
 *   forward(inputs, outputs, scratch, sizes)   backward(inputs, [outputs], cotangents, gradients, scratch, sizes)
 */
export function oneCall<S extends readonly number[] | []>(spec: OneCall<S>): OpKernel {
  const { inputs: names, ints = [], sizes: sizesOf, outputs: shapesOf, backward } = spec
  const differentiable = names.filter((name) => !ints.includes(name))
  const forward: OpKernel = {
    accepts: (inputs) => typesFit(inputs, ints),

    forward(inputs, attrs, backend) {
      const heap = heapOf(backend)
      const sizes = sizesOf(inputs, attrs)
      const shapes = Object.entries(shapesOf(sizes, inputs))
      const outputs = Object.fromEntries(shapes.map(([name, shape]) => [name, heap.output(shape)]))
      const given = names.map((name) => heap.address(inputs[name]))
      const made = shapes.map(([name]) => heap.address(outputs[name]))
      const scratch = heap.regions(spec.scratch?.(heap.kernels, sizes) ?? [])
      spec.call(heap.kernels)(...given, ...made, ...scratch, ...sizes)
      return outputs
    },
  }
  if (backward === undefined) return forward
  const { inputs: seen = names, seesOutputs } = backward
  return {
    ...forward,

    backward(dys, inputs, outputs, attrs, backend) {
      const heap = heapOf(backend)
      const sizes = sizesOf(inputs, attrs)
      const wanted = differentiable.filter((name) => inputs[name] !== undefined)
      const grads = Object.fromEntries(wanted.map((name) => [name, heap.output(shapeOf(inputs, name))]))
      const made = Object.keys(shapesOf(sizes, inputs))
      const scratch = heap.regions(backward.scratch?.(heap.kernels, sizes) ?? [])
      backward.call(heap.kernels)(
        ...seen.map((name) => heap.address(inputs[name])),
        ...(seesOutputs ? made.map((name) => heap.address(outputs[name])) : []),
        ...made.map((name) => heap.address(dys[name])),
        ...differentiable.map((name) => heap.address(grads[name])),
        ...scratch,
        ...sizes,
      )
      return grads
    },
  }
}

/** Shape of an input that is always there. */
export function shapeOf(inputs: Infos, name: string): number[] {
  return (inputs[name] as TensorInfo).shape
}

/** Sizes of `[B, T, D]`. */
export function sequenceOf(inputs: Infos, name: string): [batch: number, time: number, width: number] {
  return shapeOf(inputs, name) as [number, number, number]
}

/** Rows of an input, and how wide they are. */
export function rowsOf(inputs: Infos, name: string): [count: number, width: number] {
  const shape = shapeOf(inputs, name)
  const width = shape.at(-1) as number
  return [util.sizeFromShape(shape) / width, width]
}
