import { type GatedLinearAttentionSizes, gatedLinearAttentionSizes, type OpKernel } from '@mneme/core-tensor'
import type { TensorInfo } from '@tensorflow/tfjs-core'
import { type Heap, heapOf, typesFit } from './heap.js'
import {
  blocksOf,
  borderOf,
  chunkOf,
  FORWARD_TOKENS,
  placesOf,
  type StateMemory,
  stateMemory,
  within,
} from './matrix-state.js'

type Inputs = Readonly<Record<'q' | 'k' | 'v', TensorInfo>> & {
  readonly [Name in 'logDecay' | 'bonus' | 'resets' | 'state']?: TensorInfo
}

/**
 * The recurrence itself, with no products of blocks whatever `chunk` says: a token costs the same at any T. All heads
 * take a few tokens each in turn, so that memory is walked once from one end to the other.
 */
export const gatedLinearAttention: OpKernel = {
  accepts: (inputs) => typesFit(inputs),

  forward(inputs, { scale }, backend) {
    const { q, k, v, logDecay, bonus, resets, state } = inputs as Inputs
    const sizes = gatedLinearAttentionSizes(inputs as Inputs)
    const { B, T, H, K, V, K1 } = sizes
    const heap = heapOf(backend)
    const o = heap.output(v.shape)
    const last = heap.output([B, H, K, V])
    const scratch = heap.scratch(heap.kernels.gatedLinearAttentionScratch(K, V))
    for (const { b, from } of blocksOf(sizes, FORWARD_TOKENS)) {
      for (const at of placesOf(sizes, b, from)) {
        heap.kernels.gatedLinearAttention(
          within(heap, q, at.keys),
          within(heap, k, at.keys),
          within(heap, v, at.values),
          within(heap, logDecay, at.decays),
          within(heap, bonus, at.bonus),
          within(heap, resets, at.resets),
          within(heap, from === 0 ? state : last, at.state),
          within(heap, o, at.values),
          within(heap, last, at.state),
          scratch,
          Math.min(FORWARD_TOKENS, T - from),
          K,
          V,
          K1,
          ...stepsOf(sizes),
          (scale as number) || K ** -0.5,
        )
      }
    }
    return { o, state: last }
  },

  backward(dys, inputs, _outputs, { scale }, backend) {
    const { q, k, v, logDecay, bonus, resets, state } = inputs as Inputs
    const sizes = gatedLinearAttentionSizes(inputs as Inputs)
    const { T, K, V, K1 } = sizes
    const heap = heapOf(backend)
    const [dq, dk, dv] = [heap.zeros(q.shape), heap.zeros(k.shape), heap.output(v.shape)]
    const dLogDecay = logDecay && heap.zeros(logDecay.shape)
    const dBonus = bonus && heap.zeros(bonus.shape)
    const dState = heap.output((dys.state as TensorInfo).shape)
    const chunk = chunkOf(sizes)
    const { gatedLinearAttentionScratch: forward, gatedLinearAttentionBackwardScratch: back } = heap.kernels
    const memory = stateMemory(heap, sizes, chunk, Math.max(forward(K, V), back(chunk, K, V)))
    for (const { b, from } of blocksOf(sizes, chunk).reverse()) {
      if (from + chunk >= T) keepBorders(heap, inputs as Inputs, sizes, chunk, b, memory)
      for (const at of placesOf(sizes, b, from)) {
        heap.kernels.gatedLinearAttentionBackward(
          within(heap, q, at.keys),
          within(heap, k, at.keys),
          within(heap, v, at.values),
          within(heap, logDecay, at.decays),
          within(heap, bonus, at.bonus),
          within(heap, resets, at.resets),
          from === 0 ? within(heap, state, at.state) : borderOf(memory, from / chunk, at),
          within(heap, dys.o, at.values),
          within(heap, from + chunk >= T ? dys.state : dState, at.state),
          within(heap, dq, at.keys),
          within(heap, dk, at.keys),
          within(heap, dv, at.values),
          within(heap, dLogDecay, at.decays),
          within(heap, dBonus, at.bonus),
          within(heap, dState, at.state),
          memory.scratch,
          Math.min(chunk, T - from),
          K,
          V,
          K1,
          ...stepsOf(sizes),
          (scale as number) || K ** -0.5,
        )
      }
    }
    if (state === undefined) heap.discard(dState)
    return {
      q: dq,
      k: dk,
      v: dv,
      ...(dLogDecay && { logDecay: dLogDecay }),
      ...(dBonus && { bonus: dBonus }),
      ...(resets && { resets: heap.zeros(resets.shape) }),
      ...(state && { state: dState }),
    }
  },
}

/** Walks one row for its states alone, and keeps those at the starts of chunks. */
function keepBorders(
  heap: Heap,
  { q, k, v, logDecay, resets, state }: Inputs,
  sizes: GatedLinearAttentionSizes,
  chunk: number,
  b: number,
  memory: StateMemory,
): void {
  const { T, K, V, K1 } = sizes
  for (let n = 1; n * chunk < T; n++) {
    for (const at of placesOf(sizes, b, (n - 1) * chunk)) {
      heap.kernels.gatedLinearAttention(
        within(heap, q, at.keys),
        within(heap, k, at.keys),
        within(heap, v, at.values),
        within(heap, logDecay, at.decays),
        0,
        within(heap, resets, at.resets),
        n === 1 ? within(heap, state, at.state) : borderOf(memory, n - 1, at),
        0,
        borderOf(memory, n, at),
        memory.scratch,
        chunk,
        K,
        V,
        K1,
        ...stepsOf(sizes),
        1,
      )
    }
  }
}

/** Bytes from one token to the next. */
function stepsOf({ G, H, K, V, T1, K1 }: GatedLinearAttentionSizes): [keys: number, values: number, decays: number] {
  return [4 * G * K, 4 * H * V, T1 === 1 ? 0 : 4 * H * K1]
}
