import type { GatedLinearAttentionSizes, OpKernel } from '@mneme/core-tensor'
import type { TensorInfo } from '@tensorflow/tfjs-core'
import { type Heap, heapOf, typesFit } from './heap.js'
import {
  blocksOf,
  borderOf,
  chunkOf,
  FORWARD_TOKENS,
  type Place,
  placesOf,
  type StateMemory,
  stateMemory,
  within,
} from './matrix-state.js'

type Inputs = Readonly<Record<'q' | 'k' | 'v', TensorInfo>> & {
  readonly [Name in 'a' | 'b' | 'beta' | 'logDecay' | 'resets' | 'state']?: TensorInfo
}

/**
 * `deltaRule` by its inputs q, k, v and beta, `dplrDeltaRule` by q, k, v, a and b: the recurrence itself, with no
 * products of blocks whatever `chunk` says. A token costs the same at any T: one walk over the state to read it, one to
 * write it, in the first-level cache where it is small.
 */
export const deltaRule: OpKernel = {
  accepts: (inputs) => typesFit(inputs),

  forward(given, { scale }, backend) {
    const inputs = given as Inputs
    const sizes = sizesOf(inputs)
    const { B, T, H, K, V } = sizes
    const heap = heapOf(backend)
    const o = heap.output(inputs.v.shape)
    const state = heap.output([B, H, K, V])
    const scratch = heap.scratch(heap.kernels.deltaRuleScratch(K, V))
    for (const { b, from } of blocksOf(sizes, FORWARD_TOKENS)) {
      for (const at of placesOf(sizes, b, from)) {
        heap.kernels.deltaRule(
          ...addressesOf(heap, inputs, at),
          within(heap, from === 0 ? inputs.state : state, at.state),
          within(heap, o, at.values),
          within(heap, state, at.state),
          scratch,
          ...shapeOf(sizes, Math.min(FORWARD_TOKENS, T - from)),
          (scale as number) || K ** -0.5,
        )
      }
    }
    return { o, state }
  },

  backward(dys, given, _outputs, { scale }, backend) {
    const inputs = given as Inputs
    const sizes = sizesOf(inputs)
    const { T, K, V } = sizes
    const heap = heapOf(backend)
    const { resets, ...walked } = inputs
    const grads = Object.fromEntries(Object.entries(walked).map(([name, { shape }]) => [name, heap.output(shape)]))
    const dState = grads.state ?? heap.output((dys.state as TensorInfo).shape)
    const chunk = chunkOf(sizes)
    const { deltaRuleScratch: forward, deltaRuleBackwardScratch: back } = heap.kernels
    const memory = stateMemory(heap, sizes, chunk, Math.max(forward(K, V), back(chunk, K, V)))
    for (const { b, from } of blocksOf(sizes, chunk).reverse()) {
      if (from + chunk >= T) keepBorders(heap, inputs, sizes, chunk, b, memory)
      for (const at of placesOf(sizes, b, from)) {
        heap.kernels.deltaRuleBackward(
          ...addressesOf(heap, inputs, at),
          from === 0 ? within(heap, inputs.state, at.state) : borderOf(memory, from / chunk, at),
          within(heap, dys.o, at.values),
          within(heap, from + chunk >= T ? dys.state : dState, at.state),
          within(heap, grads.q, at.keys),
          within(heap, grads.k, at.keys),
          within(heap, grads.v, at.values),
          within(heap, grads.a, at.keys),
          within(heap, grads.b, at.keys),
          within(heap, grads.beta, at.gates),
          within(heap, grads.logDecay, at.decays),
          within(heap, dState, at.state),
          memory.scratch,
          ...shapeOf(sizes, Math.min(chunk, T - from)),
          (scale as number) || K ** -0.5,
        )
      }
    }
    if (inputs.state === undefined) heap.discard(dState)
    return { ...grads, ...(resets && { resets: heap.zeros(resets.shape) }) }
  },
}

/** Every head has keys of its own; a decay is one number a token, or one a key. */
function sizesOf({ k, v, logDecay }: Inputs): GatedLinearAttentionSizes {
  const [B, T, H, K] = k.shape as [number, number, number, number]
  return { B, T, G: H, H, K, V: v.shape[3] as number, B1: B, T1: T, K1: logDecay?.shape[3] ?? 1 }
}

/** Walks one row for its states alone, and keeps those at the starts of chunks. */
function keepBorders(
  heap: Heap,
  inputs: Inputs,
  sizes: GatedLinearAttentionSizes,
  chunk: number,
  b: number,
  memory: StateMemory,
): void {
  for (let n = 1; n * chunk < sizes.T; n++) {
    for (const at of placesOf(sizes, b, (n - 1) * chunk)) {
      heap.kernels.deltaRule(
        ...addressesOf(heap, inputs, at),
        n === 1 ? within(heap, inputs.state, at.state) : borderOf(memory, n - 1, at),
        0,
        borderOf(memory, n, at),
        memory.scratch,
        ...shapeOf(sizes, chunk),
        1,
      )
    }
  }
}

type Eight = [number, number, number, number, number, number, number, number]

const addressesOf = (heap: Heap, { q, k, v, a, b, beta, logDecay, resets }: Inputs, at: Place): Eight => [
  within(heap, q, at.keys),
  within(heap, k, at.keys),
  within(heap, v, at.values),
  within(heap, a, at.keys),
  within(heap, b, at.keys),
  within(heap, beta, at.gates),
  within(heap, logDecay, at.decays),
  within(heap, resets, at.resets),
]

const shapeOf = (
  { H, K, V, K1 }: GatedLinearAttentionSizes,
  tokens: number,
): [number, number, number, number, number] => [tokens, K, V, K1, H]
