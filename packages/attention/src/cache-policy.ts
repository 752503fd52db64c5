import { type Mixed, wholeNumber } from '@mneme/core-tensor'
import {
  concat,
  fill,
  mul,
  ones,
  range,
  reshape,
  reverse,
  slice,
  sub,
  sum,
  type Tensor,
  topk,
} from '@tensorflow/tfjs-core'
import { type Attend, evicting, type Scores } from './cache-eviction.js'
import type { KvCache } from './key-cache.js'

/** Which keys a full cache gives up. Keys keep the positions that they were turned to. */
export interface CacheRule {
  /** Most keys that are kept from one chunk to the next; Infinity for all. */
  readonly capacity: number
  /** Tokens between two reductions: they see each other, and all that was kept before them. Changes results. */
  readonly chunk: number
  /** Whose attention weights it goes by: none, those of the chunk's newest query, or all there ever were, added up. */
  readonly weighs: 'none' | 'newest' | 'all'
  /**
   * Keys to keep, of each row and key head: float `[B or 1, G or 1, capacity]`, ascending. `weights` `[B, G, S]` are sums
   * over the queries of a key head; null where none are asked for.
   */
  kept(S: number, weights: Tensor | null): Tensor
}

/** A rule with what carries it out. */
export interface CachePolicy extends CacheRule {
  /** Attention over x `[B, T, D]` chunk by chunk; at the end of each the keys are given up that the rule does not keep. */
  through(x: Tensor, state: KvCache, attend: Attend, scores: Scores): Mixed<KvCache>
  /** Numbers that a row keeps for each key head after `length` tokens, keys and values `dHead` wide. */
  numbersHeld(length: number, dHead: number): number
  /** @throws RangeError for options of `where` that need keys which it may have given up */
  check(where: string, options: Beside): void
}

/** What a policy cannot stand beside. */
interface Beside {
  readonly window: number
  readonly distanceBias?: object | null
  readonly valueResidual?: object | null
}

/** A policy of one's own. */
export function cachePolicy(rule: CacheRule): CachePolicy {
  const { capacity, chunk, weighs } = rule
  return {
    ...rule,
    through: (x, state, attend, scores) => evicting(rule, x, state, attend, scores),
    numbersHeld(length, dHead) {
      const open = length % chunk
      return (2 * dHead + (weighs === 'all' ? 1 : 0)) * (Math.min(length - open, capacity) + open)
    },
    check,
  }
}

function check(where: string, { window, distanceBias, valueResidual }: Beside): void {
  if (valueResidual) {
    throw new RangeError(`${where} cache: expected no values of another layer, whose keys a policy may have given up.`)
  }
  if (window > 0 || distanceBias) {
    throw new RangeError(
      `${where} cache: expected no window and no distance bias, which count keys that a policy may have given up. Use windowCache or rotary positions.`,
    )
  }
}

/** Every key stays. */
export const fullCache: CachePolicy = /* @__PURE__ */ cachePolicy({
  capacity: Number.POSITIVE_INFINITY,
  chunk: 1,
  weighs: 'none',
  kept: (S) => reshape(range(0, S), [1, 1, S]),
})

/** The newest keys stay. */
export function windowCache(capacity: number, chunk = 1): CachePolicy {
  return sinkCache(0, capacity, chunk)
}

/**
 * The first keys stay, where softmax puts the weight that it has no use for, and the newest of the rest.
 * Xiao et al. 2023, arXiv:2309.17453, section 3.2.
 * Differs: keys keep their own positions; there they take those of their places in the cache.
 */
export function sinkCache(first: number, capacity: number, chunk = 1): CachePolicy {
  checked('sinkCache', capacity, chunk)
  if (!(first >= 0 && first <= capacity)) {
    throw new RangeError(`sinkCache first: expected 0 to capacity = ${capacity}, got ${first}.`)
  }
  const kept = (S: number): Tensor =>
    reshape(concat([range(0, first), range(S - (capacity - first), S)]), [1, 1, capacity])
  return cachePolicy({ capacity, chunk, weighs: 'none', kept })
}

/**
 * Heavy hitters: half of the places are for the newest keys, half for those of the rest that all queries so far gave the
 * most weight, each key head by itself. Zhang et al. 2023, arXiv:2306.14048, section 4.
 */
export function heavyHitterCache(capacity: number, chunk = 1): CachePolicy {
  checked('heavyHitterCache', capacity, chunk)
  const newest = Math.floor(capacity / 2)
  const kept = (S: number, weights: Tensor | null): Tensor => {
    const [B, G] = (weights as Tensor).shape as [number, number]
    const older = slice(weights as Tensor, [0, 0, 0], [B, G, S - newest])
    const recent = mul(reshape(range(S - newest, S), [1, 1, newest]), ones([B, G, 1]))
    return concat([largest(older, capacity - newest), recent], 2)
  }
  return cachePolicy({ capacity, chunk, weighs: 'all', kept })
}

/**
 * The keys stay that the newest query gives the most weight, over all heads alike; it may itself be given up.
 * Oren et al. 2024, arXiv:2401.06104, section 3.2.
 */
export function tovaCache(capacity: number, chunk = 1): CachePolicy {
  checked('tovaCache', capacity, chunk)
  const kept = (_: number, weights: Tensor | null): Tensor => largest(sum(weights as Tensor, 1, true), capacity)
  return cachePolicy({ capacity, chunk, weighs: 'newest', kept })
}

/** Places of the `count` largest along the last axis of `[B, G, S]`, ascending; of equal ones the later. */
function largest(weights: Tensor, count: number): Tensor {
  const [B, G, S] = weights.shape as [number, number, number]
  if (count === 0) return fill([B, G, 0], 0)
  // of equal values topk takes the first, so the order is turned around, and turned back with the places
  const fromEnd = topk(reverse(weights, -1), count, true).indices
  const descending = topk(sub(S - 1, fromEnd), count, true).values
  return reverse(descending, -1)
}

function checked(where: string, capacity: number, chunk: number): void {
  wholeNumber(`${where} capacity`, capacity, 'keys')
  wholeNumber(`${where} chunk`, chunk, 'tokens')
}
