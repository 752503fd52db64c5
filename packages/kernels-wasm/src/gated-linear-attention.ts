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
    const memory = memoryOf(heap, sizes, chunk)
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

/** Tokens that a head takes before it is the next one's turn. */
const FORWARD_TOKENS = 64
/** States of one chunk should stay in a core's own cache; those at the borders must not grow without end. */
const CHUNK_BYTES = 2 ** 17
const BORDER_BYTES = 2 ** 26

function chunkOf({ T, H, K, V }: GatedLinearAttentionSizes): number {
  const stateBytes = 4 * K * V
  const cached = Math.min(64, Math.max(8, Math.floor(CHUNK_BYTES / stateBytes)))
  const small = (T / cached) * H * stateBytes <= BORDER_BYTES
  return Math.min(T, small ? cached : Math.ceil(Math.sqrt(T)))
}

/** The first tokens of blocks of `tokens`, row after row. */
function blocksOf({ B, T }: GatedLinearAttentionSizes, tokens: number): { b: number; from: number }[] {
  const count = Math.ceil(T / tokens)
  return Array.from({ length: B * count }, (_, n) => ({ b: Math.floor(n / count), from: (n % count) * tokens }))
}

/** Working memory of the backward pass. */
interface Memory {
  readonly scratch: number
  /** States of all heads of one row at the starts of chunks, from the second on. */
  readonly borders: number
  readonly borderBytes: number
}

function memoryOf(heap: Heap, { T, H, K, V }: GatedLinearAttentionSizes, chunk: number): Memory {
  const borderBytes = 4 * H * K * V
  const count = Math.ceil(T / chunk) - 1
  const forward = heap.kernels.gatedLinearAttentionScratch(K, V)
  const backward = heap.kernels.gatedLinearAttentionBackwardScratch(chunk, K, V)
  const borders = heap.scratch(count * borderBytes + Math.max(forward, backward))
  return { scratch: borders + count * borderBytes, borders, borderBytes }
}

const borderOf = ({ borders, borderBytes }: Memory, n: number, { head }: Place): number =>
  borders + (n - 1) * borderBytes + head

/** Walks one row for its states alone, and keeps those at the starts of chunks. */
function keepBorders(
  heap: Heap,
  { q, k, v, logDecay, resets, state }: Inputs,
  sizes: GatedLinearAttentionSizes,
  chunk: number,
  b: number,
  memory: Memory,
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

/** Where one head's part of one row begins in tensors of each kind, in bytes. */
interface Place {
  readonly keys: number
  readonly values: number
  readonly decays: number
  readonly bonus: number
  readonly resets: number
  readonly state: number
  /** The state's place in those of its row. */
  readonly head: number
}

/** Every head of row b, at token t. */
function placesOf({ T, G, H, K, V, B1, T1, K1 }: GatedLinearAttentionSizes, b: number, t: number): Place[] {
  const token = b * T + t
  const decayToken = (B1 === 1 ? 0 : b) * T1 + (T1 === 1 ? 0 : t)
  return Array.from({ length: H }, (_, h) => ({
    keys: 4 * K * (token * G + Math.floor(h / (H / G))),
    values: 4 * V * (token * H + h),
    decays: 4 * K1 * (decayToken * H + h),
    bonus: 4 * K * h,
    resets: 4 * token,
    state: 4 * K * V * (b * H + h),
    head: 4 * K * V * h,
  }))
}

/** Bytes from one token to the next. */
function stepsOf({ G, H, K, V, T1, K1 }: GatedLinearAttentionSizes): [keys: number, values: number, decays: number] {
  return [4 * G * K, 4 * H * V, T1 === 1 ? 0 : 4 * H * K1]
}

/** An address within a tensor; 0 for one that is absent. */
function within(heap: Heap, tensor: TensorInfo | undefined, offset: number): number {
  return tensor === undefined ? 0 : heap.address(tensor) + offset
}
