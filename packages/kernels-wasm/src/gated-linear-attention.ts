import { type GatedLinearAttentionSizes, gatedLinearAttentionSizes, type OpKernel } from '@mneme/core-tensor'
import type { TensorInfo } from '@tensorflow/tfjs-core'
import { type Heap, heapOf, typesFit } from './heap.js'

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
    for (let from = 0; from < T; from += FORWARD_TOKENS) {
      for (const at of placesOf(sizes, from)) {
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
    const { scratch, borders } = bordersOf(heap, inputs as Inputs, sizes, chunk)
    for (let n = borders.length - 1; n >= 0; n--) {
      for (const at of placesOf(sizes, n * chunk)) {
        heap.kernels.gatedLinearAttentionBackward(
          within(heap, q, at.keys),
          within(heap, k, at.keys),
          within(heap, v, at.values),
          within(heap, logDecay, at.decays),
          within(heap, bonus, at.bonus),
          within(heap, resets, at.resets),
          n === 0 ? within(heap, state, at.state) : (borders[n] as number) + at.state,
          within(heap, dys.o, at.values),
          within(heap, n === borders.length - 1 ? dys.state : dState, at.state),
          within(heap, dq, at.keys),
          within(heap, dk, at.keys),
          within(heap, dv, at.values),
          within(heap, dLogDecay, at.decays),
          within(heap, dBonus, at.bonus),
          within(heap, dState, at.state),
          scratch,
          Math.min(chunk, T - n * chunk),
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

/** Tokens that a head takes before it is the next one's turn. */
const FORWARD_TOKENS = 64
/** States of one chunk should stay in a core's own cache; those at the borders must not grow without end. */
const CHUNK_BYTES = 2 ** 17
const BORDER_BYTES = 2 ** 26

function chunkOf({ B, T, H, K, V }: GatedLinearAttentionSizes): number {
  const stateBytes = 4 * K * V
  const cached = Math.min(64, Math.max(8, Math.floor(CHUNK_BYTES / stateBytes)))
  const small = (T / cached) * B * H * stateBytes <= BORDER_BYTES
  return Math.min(T, small ? cached : Math.ceil(Math.sqrt(T)))
}

/** Where the states at the start of each chunk are, of all heads; the first is the input and has no place. */
function bordersOf(
  heap: Heap,
  { q, k, v, logDecay, resets, state }: Inputs,
  sizes: GatedLinearAttentionSizes,
  chunk: number,
): { scratch: number; borders: readonly number[] } {
  const { B, T, H, K, V, K1 } = sizes
  const { kernels } = heap
  const count = Math.ceil(T / chunk)
  const bytes = 4 * B * H * K * V
  const forward = kernels.gatedLinearAttentionScratch(K, V)
  const backward = kernels.gatedLinearAttentionBackwardScratch(chunk, K, V)
  const kept = heap.scratch((count - 1) * bytes + Math.max(forward, backward))
  const scratch = kept + (count - 1) * bytes
  const borders = Array.from({ length: count }, (_, n) => kept + (n - 1) * bytes)
  for (let n = 1; n < count; n++) {
    for (const at of placesOf(sizes, (n - 1) * chunk)) {
      kernels.gatedLinearAttention(
        within(heap, q, at.keys),
        within(heap, k, at.keys),
        within(heap, v, at.values),
        within(heap, logDecay, at.decays),
        0,
        within(heap, resets, at.resets),
        n === 1 ? within(heap, state, at.state) : (borders[n - 1] as number) + at.state,
        0,
        (borders[n] as number) + at.state,
        scratch,
        chunk,
        K,
        V,
        K1,
        ...stepsOf(sizes),
        1,
      )
    }
  }
  return { scratch, borders }
}

/** Where one head's part of one row begins in tensors of each kind, in bytes. */
interface Place {
  readonly keys: number
  readonly values: number
  readonly decays: number
  readonly bonus: number
  readonly resets: number
  readonly state: number
}

/** Every head of every row, at token t. */
function placesOf({ B, T, G, H, K, V, B1, T1, K1 }: GatedLinearAttentionSizes, t: number): Place[] {
  return Array.from({ length: B * H }, (_, n) => {
    const [b, h] = [Math.floor(n / H), n % H]
    const decayToken = (B1 === 1 ? 0 : b) * T1 + (T1 === 1 ? 0 : t)
    return {
      keys: 4 * K * ((b * T + t) * G + Math.floor(h / (H / G))),
      values: 4 * V * ((b * T + t) * H + h),
      decays: 4 * K1 * (decayToken * H + h),
      bonus: 4 * K * h,
      resets: 4 * (b * T + t),
      state: 4 * K * V * n,
    }
  })
}

/** Bytes from one token to the next. */
function stepsOf({ G, H, K, V, T1, K1 }: GatedLinearAttentionSizes): [keys: number, values: number, decays: number] {
  return [4 * G * K, 4 * H * V, T1 === 1 ? 0 : 4 * H * K1]
}

/** An address within a tensor; 0 for one that is absent. */
function within(heap: Heap, tensor: TensorInfo | undefined, offset: number): number {
  return tensor === undefined ? 0 : heap.address(tensor) + offset
}
