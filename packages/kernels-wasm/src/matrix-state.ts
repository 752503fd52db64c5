import type { GatedLinearAttentionSizes } from '@mneme/core-tensor'
import type { TensorInfo } from '@tensorflow/tfjs-core'
import type { Heap } from './heap.js'

// Kernels whose heads each walk a state of K x V numbers token by token: all heads take a few tokens each in turn, so
// that memory is walked once from one end to the other, and the backward pass makes states again from those at borders.

export type StateSizes = Pick<GatedLinearAttentionSizes, 'B' | 'T' | 'H' | 'K' | 'V'>

/** Tokens that a head takes before it is the next one's turn. */
export const FORWARD_TOKENS = 64
/** States of one chunk should stay in a core's own cache; those at the borders must not grow without end. */
const CHUNK_BYTES = 2 ** 17
const BORDER_BYTES = 2 ** 26

/** Tokens between two states that are kept for the backward pass. */
export function chunkOf({ T, H, K, V }: StateSizes): number {
  const stateBytes = 4 * K * V
  const cached = Math.min(64, Math.max(8, Math.floor(CHUNK_BYTES / stateBytes)))
  const small = (T / cached) * H * stateBytes <= BORDER_BYTES
  return Math.min(T, small ? cached : Math.ceil(Math.sqrt(T)))
}

/** The first tokens of blocks of `tokens`, row after row. */
export function blocksOf({ B, T }: StateSizes, tokens: number): { b: number; from: number }[] {
  const count = Math.ceil(T / tokens)
  return Array.from({ length: B * count }, (_, n) => ({ b: Math.floor(n / count), from: (n % count) * tokens }))
}

/** Working memory of the backward pass. */
export interface StateMemory {
  readonly scratch: number
  /** States of all heads of one row at the starts of chunks, from the second on. */
  readonly borders: number
  readonly borderBytes: number
}

/** Working memory for the states of one row at the start of every chunk but the first, and `scratchBytes` more behind them. */
export function stateMemory(heap: Heap, { T, H, K, V }: StateSizes, chunk: number, scratchBytes: number): StateMemory {
  const borderBytes = 4 * H * K * V
  const count = Math.ceil(T / chunk) - 1
  const borders = heap.scratch(count * borderBytes + scratchBytes)
  return { scratch: borders + count * borderBytes, borders, borderBytes }
}

/** Where the state of one head at the start of chunk `n` is kept. */
export const borderOf = ({ borders, borderBytes }: StateMemory, n: number, { head }: Place): number =>
  borders + (n - 1) * borderBytes + head

/** Where one head's part of one row begins in tensors of each kind, in bytes. */
export interface Place {
  readonly keys: number
  readonly values: number
  /** Of tensors with one number a token and head. */
  readonly gates: number
  readonly decays: number
  readonly bonus: number
  readonly resets: number
  readonly state: number
  /** The state's place in those of its row. */
  readonly head: number
}

/** Every head of row b, at token t. */
export function placesOf({ T, G, H, K, V, B1, T1, K1 }: GatedLinearAttentionSizes, b: number, t: number): Place[] {
  const token = b * T + t
  const decayToken = (B1 === 1 ? 0 : b) * T1 + (T1 === 1 ? 0 : t)
  return Array.from({ length: H }, (_, h) => ({
    keys: 4 * K * (token * G + Math.floor(h / (H / G))),
    values: 4 * V * (token * H + h),
    gates: 4 * (token * H + h),
    decays: 4 * K1 * (decayToken * H + h),
    bonus: 4 * K * h,
    resets: 4 * token,
    state: 4 * K * V * (b * H + h),
    head: 4 * K * V * h,
  }))
}

/** An address within a tensor; 0 for one that is absent. */
export function within(heap: Heap, tensor: TensorInfo | undefined, offset: number): number {
  return tensor === undefined ? 0 : heap.address(tensor) + offset
}
