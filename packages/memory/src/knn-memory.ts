import {
  type Entry,
  extended,
  type Memory,
  type Mixed,
  Module,
  type State,
  stopGradient,
  wholeNumber,
} from '@mneme/core-tensor'
import { add, gather, matMul, mul, range, reshape, scalar, slice, type Tensor, tidy, topk } from '@tensorflow/tfjs-core'

export interface KnnState {
  readonly [name: string]: State
  /** `[B, M, K]`, the oldest first; null while empty. */
  readonly keys: Tensor | null
  /** `[B, M, V]` */
  readonly values: Tensor | null
}

/** Keys `[B, T, K]` and values `[B, T, V]` to store. */
export interface KnnEntry extends Entry {
  readonly keys: Tensor
  readonly values: Tensor
}

/** What a query found: the best first. */
export interface Neighbours {
  /** `[B, Q, k, K]` */
  readonly keys: Tensor
  /** `[B, Q, k, V]` */
  readonly values: Tensor
}

export interface KnnMemoryOptions {
  /** Keys that are kept; the oldest go first. */
  readonly capacity: number
  /** Neighbours of a query; fewer while fewer are stored. */
  readonly neighbours: number
}

/**
 * An exact nearest-neighbour memory: every key is compared, and what is found has no gradient.
 *
 *   found(q) = the k values v_j of the greatest q·k_j
 *
 * Queries `[B, Q, K]`, keys `[B, M, K]` and values `[B, M, V]` in the order they came; beyond the capacity the oldest are
 * dropped. State: up to `capacity` keys and values a row. Finding costs M K a query, storing nothing but the copy.
 * Paper: Wu et al. 2022, arXiv:2203.08913, section 3.
 */
export class KnnMemory extends Module implements Memory<KnnState, KnnEntry> {
  constructor(private readonly options: KnnMemoryOptions) {
    super()
    wholeNumber('KnnMemory capacity', options.capacity)
    wholeNumber('KnnMemory neighbours', options.neighbours)
  }

  /** An empty store. */
  initialState(): KnnState {
    return { keys: null, values: null }
  }

  /** Values of the nearest by dot product to queries `[B, Q, K]`, `[B, Q, k, V]`; none while nothing is stored. */
  read(state: KnnState, query: Tensor): Mixed<KnnState> {
    const found = this.nearest(state, query)
    if (found === null) throw new RangeError('KnnMemory.read: expected something stored, got an empty memory.')
    return { y: found.values, state }
  }

  /** Keys and values of the nearest by dot product to queries `[B, Q, K]`; null while nothing is stored. */
  nearest({ keys, values }: KnnState, query: Tensor): Neighbours | null {
    if (keys === null || values === null) return null
    const [B, M] = keys.shape as [number, number]
    const [, Q] = query.shape as [number, number]
    const k = Math.min(this.options.neighbours, M)
    const places = tidy(() => {
      const { indices } = topk(matMul(query, keys, false, true), k)
      return reshape(add(indices, mul(reshape(range(0, B, 1, 'int32'), [B, 1, 1]), scalar(M, 'int32'))), [B * Q * k])
    })
    const found = (all: Tensor): Tensor => {
      const width = all.shape[2] as number
      return stopGradient(reshape(gather(reshape(all, [B * M, width]), places as never), [B, Q, k, width]))
    }
    return { keys: found(keys), values: found(values) }
  }

  /** The store with more keys and values; beyond its capacity the oldest are given up. */
  write(state: KnnState, { keys, values }: KnnEntry): KnnState {
    const kept = (old: Tensor | null, fresh: Tensor): Tensor => {
      const all = extended(old, fresh)
      const excess = (all.shape[1] as number) - this.options.capacity
      return stopGradient(excess > 0 ? slice(all, [0, excess, 0], [-1, this.options.capacity, -1]) : all)
    }
    return { keys: kept(state.keys, keys), values: kept(state.values, values) }
  }

  /** Bytes of one row with `count` keys written to it. */
  stateBytes(count: number, keyWidth: number, valueWidth: number): number {
    return 4 * Math.min(count, this.options.capacity) * (keyWidth + valueWidth)
  }
}
