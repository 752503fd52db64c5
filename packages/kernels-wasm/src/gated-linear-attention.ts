import { type GatedLinearAttentionSizes, gatedLinearAttentionSizes, type OpKernel } from '@mneme/core-tensor'
import type { TensorInfo } from '@tensorflow/tfjs-core'
import { type Heap, heapOf, typesFit } from './heap.js'

type Inputs = Readonly<Record<'q' | 'k' | 'v', TensorInfo>> & {
  readonly [Name in 'logDecay' | 'bonus' | 'resets' | 'state']?: TensorInfo
}

/** Where one head of one row begins in tensors of each kind, in bytes, and how far its tokens lie apart. */
interface Head {
  readonly keys: number
  readonly values: number
  readonly decays: number
  readonly bonus: number
  readonly resets: number
  readonly state: number
}

function headsOf({ B, T, G, H, K, V, B1, T1, K1 }: GatedLinearAttentionSizes): Head[] {
  return Array.from({ length: B * H }, (_, n) => {
    const [b, h] = [Math.floor(n / H), n % H]
    return {
      keys: 4 * K * (b * T * G + Math.floor(h / (H / G))),
      values: 4 * V * (b * T * H + h),
      decays: 4 * K1 * ((B1 === 1 ? 0 : b) * T1 * H + h),
      bonus: 4 * K * h,
      resets: 4 * T * b,
      state: 4 * K * V * n,
    }
  })
}

/** Bytes from one token to the next. */
function stepsOf({ G, H, K, V, T1, K1 }: GatedLinearAttentionSizes): [keys: number, values: number, decays: number] {
  return [4 * G * K, 4 * H * V, T1 === 1 ? 0 : 4 * H * K1]
}

/** States of one chunk should stay in the second-level cache; those at the starts of chunks must not grow without end. */
const CHUNK_BYTES = 2 ** 18
const BORDER_BYTES = 2 ** 25

function chunkOf({ T, K, V }: GatedLinearAttentionSizes): number {
  const stateBytes = 4 * K * V
  const cached = Math.min(64, Math.max(8, Math.floor(CHUNK_BYTES / stateBytes)))
  const small = (T / cached) * stateBytes <= BORDER_BYTES
  return Math.min(T, small ? cached : Math.ceil(Math.sqrt(T)))
}

/** An address within a tensor; 0 for one that is absent. */
function within(heap: Heap, tensor: TensorInfo | undefined, offset: number): number {
  return tensor === undefined ? 0 : heap.address(tensor) + offset
}

/** The recurrence itself, one head at a time: no chunks, whatever `chunk` says, and a token costs the same at any T. */
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
    for (const head of headsOf(sizes)) {
      heap.kernels.gatedLinearAttention(
        within(heap, q, head.keys),
        within(heap, k, head.keys),
        within(heap, v, head.values),
        within(heap, logDecay, head.decays),
        within(heap, bonus, head.bonus),
        within(heap, resets, head.resets),
        within(heap, state, head.state),
        within(heap, o, head.values),
        within(heap, last, head.state),
        scratch,
        T,
        K,
        V,
        K1,
        ...stepsOf(sizes),
        (scale as number) || K ** -0.5,
      )
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
    const dState = state && heap.output(state.shape)
    const chunk = chunkOf(sizes)
    const scratch = heap.scratch(heap.kernels.gatedLinearAttentionBackwardScratch(T, chunk, K, V))
    for (const head of headsOf(sizes)) {
      heap.kernels.gatedLinearAttentionBackward(
        within(heap, q, head.keys),
        within(heap, k, head.keys),
        within(heap, v, head.values),
        within(heap, logDecay, head.decays),
        within(heap, bonus, head.bonus),
        within(heap, resets, head.resets),
        within(heap, state, head.state),
        within(heap, dys.o, head.values),
        within(heap, dys.state, head.state),
        within(heap, dq, head.keys),
        within(heap, dk, head.keys),
        within(heap, dv, head.values),
        within(heap, dLogDecay, head.decays),
        within(heap, dBonus, head.bonus),
        within(heap, dState, head.state),
        scratch,
        T,
        chunk,
        K,
        V,
        K1,
        ...stepsOf(sizes),
        (scale as number) || K ** -0.5,
      )
    }
    return {
      q: dq,
      k: dk,
      v: dv,
      ...(dLogDecay && { logDecay: dLogDecay }),
      ...(dBonus && { bonus: dBonus }),
      ...(resets && { resets: heap.zeros(resets.shape) }),
      ...(dState && { state: dState }),
    }
  },
}
