import type { GatedLinearAttentionSizes, Infos, OpKernel } from '@mneme/core-tensor'
import type { TensorInfo } from '@tensorflow/tfjs-core'
import type { Kernels } from './gen/kernels.js'
import { type Heap, heapOf, typesFit } from './heap.js'

// Kernels whose heads each walk a state of K x V numbers token by token: all heads take a few tokens each in turn, so
// that memory is walked once from one end to the other, and the backward pass makes states again from those at borders.

type Sizes = GatedLinearAttentionSizes
type Call = (...args: number[]) => void

/**
 * Two calls for some tokens of one head:
 *
 *   forward(inputs, state, o, last state, scratch, tokens, K, V, K1, rest, scale)
 *   backward(inputs, state, cotangents of o and of the last state, gradients, that of the state, scratch, tokens, ...)
 */
export interface MatrixStateOp {
  /** Inputs but for the state in the order of the arguments, and where in them a head's part of a token is. */
  readonly inputs: Readonly<Record<string, keyof Place>>
  readonly sizes: (inputs: Infos) => Sizes
  /** Inputs whose gradients several calls add to. */
  readonly added?: readonly string[]
  /** Inputs that change what is read and not the state. */
  readonly readOnly?: readonly string[]
  readonly rest: (sizes: Sizes) => readonly number[]
  readonly call: (kernels: Kernels) => Call
  readonly scratch: (kernels: Kernels, K: number, V: number) => number
  readonly backward: (kernels: Kernels) => Call
  readonly backwardScratch: (kernels: Kernels, tokens: number, K: number, V: number) => number
}

/** The recurrence itself, with no products of blocks whatever `chunk` says: a token costs the same at any T. */
export function matrixState(op: MatrixStateOp): OpKernel {
  const places = Object.entries(op.inputs)
  const differentiable = places.filter(([name]) => name !== 'resets')
  const addresses = (heap: Heap, tensors: Infos, at: Place, of = places): number[] =>
    of.map(([name, place]) => within(heap, tensors[name], at[place]))
  const scaleOf = (scale: unknown, { K }: Sizes): number => (scale as number) || K ** -0.5
  const tail = (sizes: Sizes, tokens: number, scale: number): number[] => {
    const { K, V, K1 } = sizes
    return [tokens, K, V, K1, ...op.rest(sizes), scale]
  }

  /** Walks one row for its states alone, and keeps those at the starts of chunks. */
  function keepBorders(heap: Heap, inputs: Infos, sizes: Sizes, chunk: number, b: number, memory: StateMemory): void {
    const written = Object.fromEntries(Object.entries(inputs).filter(([name]) => !op.readOnly?.includes(name)))
    for (let n = 1; n * chunk < sizes.T; n++) {
      for (const at of placesOf(sizes, b, (n - 1) * chunk)) {
        op.call(heap.kernels)(
          ...addresses(heap, written, at),
          n === 1 ? within(heap, inputs.state, at.state) : borderOf(memory, n - 1, at),
          0,
          borderOf(memory, n, at),
          memory.scratch,
          ...tail(sizes, chunk, 1),
        )
      }
    }
  }

  return {
    accepts: (inputs) => typesFit(inputs),

    forward(inputs, { scale }, backend) {
      const sizes = op.sizes(inputs)
      const { B, T, H, K, V } = sizes
      const heap = heapOf(backend)
      const o = heap.output((inputs.v as TensorInfo).shape)
      const state = heap.output([B, H, K, V])
      const scratch = heap.scratch(op.scratch(heap.kernels, K, V))
      for (const { b, from } of blocksOf(sizes, FORWARD_TOKENS)) {
        const rest = tail(sizes, Math.min(FORWARD_TOKENS, T - from), scaleOf(scale, sizes))
        for (const at of placesOf(sizes, b, from)) {
          op.call(heap.kernels)(
            ...addresses(heap, inputs, at),
            within(heap, from === 0 ? inputs.state : state, at.state),
            within(heap, o, at.values),
            within(heap, state, at.state),
            scratch,
            ...rest,
          )
        }
      }
      return { o, state }
    },

    backward(dys, inputs, _outputs, { scale }, backend) {
      const sizes = op.sizes(inputs)
      const { T, K, V } = sizes
      const heap = heapOf(backend)
      const made = ([name]: readonly [string, unknown]): (readonly [string, TensorInfo])[] => {
        const shape = inputs[name]?.shape
        return shape ? [[name, op.added?.includes(name) ? heap.zeros(shape) : heap.output(shape)]] : []
      }
      const grads: Infos = Object.fromEntries(differentiable.flatMap(made))
      const dState = heap.output((dys.state as TensorInfo).shape)
      const chunk = chunkOf(sizes)
      const bytes = Math.max(op.scratch(heap.kernels, K, V), op.backwardScratch(heap.kernels, chunk, K, V))
      const memory = stateMemory(heap, sizes, chunk, bytes)
      for (const { b, from } of blocksOf(sizes, chunk).reverse()) {
        if (from + chunk >= T) keepBorders(heap, inputs, sizes, chunk, b, memory)
        const rest = tail(sizes, Math.min(chunk, T - from), scaleOf(scale, sizes))
        for (const at of placesOf(sizes, b, from)) {
          op.backward(heap.kernels)(
            ...addresses(heap, inputs, at),
            from === 0 ? within(heap, inputs.state, at.state) : borderOf(memory, from / chunk, at),
            within(heap, dys.o, at.values),
            within(heap, from + chunk >= T ? dys.state : dState, at.state),
            ...addresses(heap, grads, at, differentiable),
            within(heap, dState, at.state),
            memory.scratch,
            ...rest,
          )
        }
      }
      const resets = inputs.resets && { resets: heap.zeros(inputs.resets.shape) }
      if (inputs.state) return { ...grads, ...resets, state: dState }
      heap.discard(dState)
      return { ...grads, ...resets }
    },
  }
}

type StateSizes = Pick<GatedLinearAttentionSizes, 'B' | 'T' | 'H' | 'K' | 'V'>

/** Tokens that a head takes before it is the next one's turn. */
const FORWARD_TOKENS = 64
/** States of one chunk should stay in a core's own cache; those at the borders must not grow without end. */
const CHUNK_BYTES = 2 ** 17
const BORDER_BYTES = 2 ** 26

/** Tokens between two states that are kept for the backward pass. */
function chunkOf({ T, H, K, V }: StateSizes): number {
  const stateBytes = 4 * K * V
  const cached = Math.min(64, Math.max(8, Math.floor(CHUNK_BYTES / stateBytes)))
  const small = (T / cached) * H * stateBytes <= BORDER_BYTES
  return Math.min(T, small ? cached : Math.ceil(Math.sqrt(T)))
}

/** The first tokens of blocks of `tokens`, row after row. */
function blocksOf({ B, T }: StateSizes, tokens: number): { b: number; from: number }[] {
  const count = Math.ceil(T / tokens)
  return Array.from({ length: B * count }, (_, n) => ({ b: Math.floor(n / count), from: (n % count) * tokens }))
}

/** Working memory of the backward pass. */
interface StateMemory {
  readonly scratch: number
  /** States of all heads of one row at the starts of chunks, from the second on. */
  readonly borders: number
  readonly borderBytes: number
}

/** Working memory for the states of one row at the start of every chunk but the first, and `scratchBytes` more behind them. */
function stateMemory(heap: Heap, { T, H, K, V }: StateSizes, chunk: number, scratchBytes: number): StateMemory {
  const borderBytes = 4 * H * K * V
  const count = Math.ceil(T / chunk) - 1
  const borders = heap.scratch(count * borderBytes + scratchBytes)
  return { scratch: borders + count * borderBytes, borders, borderBytes }
}

/** Where the state of one head at the start of chunk `n` is kept. */
const borderOf = ({ borders, borderBytes }: StateMemory, n: number, { head }: Place): number =>
  borders + (n - 1) * borderBytes + head

/** Where one head's part of one row begins in tensors of each kind, in bytes. */
interface Place {
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
function placesOf({ T, G, H, K, V, B1, T1, K1 }: GatedLinearAttentionSizes, b: number, t: number): Place[] {
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
function within(heap: Heap, tensor: TensorInfo | undefined, offset: number): number {
  return tensor === undefined ? 0 : heap.address(tensor) + offset
}
