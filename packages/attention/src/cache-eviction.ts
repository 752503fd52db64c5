import { bySegments, type Mixed, pieceOf, stopGradient } from '@mneme/core-tensor'
import {
  add,
  cast,
  div,
  exp,
  expandDims,
  gather,
  matMul,
  max,
  maximum,
  mul,
  pad,
  range,
  reshape,
  slice,
  squeeze,
  sub,
  sum,
  type Tensor,
  tanh,
  transpose,
} from '@tensorflow/tfjs-core'
import type { CacheRule } from './cache-policy.js'
import type { KvCache } from './key-cache.js'

/** How attention scores its keys, as the options of SoftmaxAttention. */
export interface Scores {
  readonly scale: number
  readonly softCap: number
  readonly sinkLogits: Tensor | null
}

/** What attention gives, with its queries `[B, T, H, K]`, turned as the keys are. */
export interface Attended extends Mixed<KvCache> {
  readonly queries: Tensor
}
export type Attend = (x: Tensor, state: KvCache) => Attended

/** Attention over x `[B, T, D]` in the chunks of a rule, which reduces the cache after each. */
export function evicting(rule: CacheRule, x: Tensor, state: KvCache, attend: Attend, scores: Scores): Mixed<KvCache> {
  const left = ({ position }: KvCache): number => rule.chunk - (position % rule.chunk)
  return bySegments(x.shape[1] as number, state, left, (tokens, before) => {
    const { y, state: cache, queries } = attend(pieceOf(x, tokens, 1), before)
    return { y, state: evicted(rule, cache, queries, scores) }
  })
}

/**
 * The weight that queries give each key, summed over the queries of a key head: of the newest query, or of all of them.
 * q `[B, T, H, K]` are the newest of the keys `[B, S, G, K]`; returns `[B, G, S]`. No gradient passes.
 */
function keyWeights(q: Tensor, keys: Tensor, all: boolean, { scale, softCap, sinkLogits }: Scores): Tensor {
  const [B, T, H, K] = q.shape as [number, number, number, number]
  const [, S, G] = keys.shape as [number, number, number]
  const t = all ? T : 1
  const queries = slice(stopGradient(q), [0, T - t, 0, 0], [B, t, H, K])
  const rows = reshape(transpose(queries, [0, 2, 1, 3]), [B * G, (H / G) * t, K])
  const columns = reshape(transpose(stopGradient(keys), [0, 2, 1, 3]), [B * G, S, K])
  const raw = reshape(mul(matMul(rows, columns, false, true), scale || K ** -0.5), [B, H, t, S])
  const capped = softCap > 0 ? mul(tanh(div(raw, softCap)), softCap) : raw
  // query i of the t newest keys sees all but those after it
  const ahead = sub(reshape(range(0, S), [1, S]), reshape(range(S - t, S), [t, 1]))
  const scores = add(capped, mul(maximum(ahead, 0), -1e30))
  const sink = sinkLogits === null ? null : reshape(stopGradient(sinkLogits), [1, H, 1, 1])
  const top = sink === null ? max(scores, -1, true) : maximum(max(scores, -1, true), sink)
  const shares = exp(sub(scores, top))
  const total = sum(shares, -1, true)
  const weights = div(shares, sink === null ? total : add(total, exp(sub(sink, top))))
  return sum(reshape(weights, [B, G, (H / G) * t, S]), 2)
}

/** The cache after a piece of a chunk: its usage added up, and at the end of a chunk no longer than the policy allows. */
function evicted(
  { capacity, chunk, weighs, kept }: CacheRule,
  cache: KvCache,
  queries: Tensor,
  scores: Scores,
): KvCache {
  const [keys, values] = [cache.keys as Tensor, cache.values as Tensor]
  const S = keys.shape[1] as number
  const weigh = (all: boolean): Tensor => keyWeights(queries, keys, all, scores)
  const total = weighs === 'all' ? accumulated(cache.usage, byKey(weigh(true))) : null
  if (cache.position % chunk !== 0 || S <= capacity) return { ...cache, usage: total }
  const weights = total === null ? (weighs === 'newest' ? weigh(false) : null) : byHead(total)
  const places = stopGradient(kept(S, weights))
  return {
    ...cache,
    keys: chosen(keys, places),
    values: chosen(values, places),
    usage: total && chosen(total, places),
  }
}

const byKey = (weights: Tensor): Tensor => expandDims(transpose(weights, [0, 2, 1]), 3)
const byHead = (usage: Tensor): Tensor => transpose(squeeze(usage, [3]), [0, 2, 1])

/** Usage of the keys so far, and of those that were added since. */
function accumulated(before: Tensor | null, now: Tensor): Tensor {
  if (before === null) return now
  const added = (now.shape[1] as number) - (before.shape[1] as number)
  return add(
    now,
    pad(before, [
      [0, 0],
      [0, added],
      [0, 0],
      [0, 0],
    ]),
  )
}

/** The keys at `places` `[B or 1, G or 1, C]` of each row and head: `[B, S, G, W]` to `[B, C, G, W]`. */
function chosen(x: Tensor, places: Tensor): Tensor {
  const [B, S, G, W] = x.shape as [number, number, number, number]
  const C = places.shape[2] as number
  const rows = reshape(transpose(x, [0, 2, 1, 3]), [B * G * S, W])
  const starts = reshape(mul(range(0, B * G), S), [B, G, 1])
  const kept = gather(rows, reshape(cast(add(starts, places), 'int32'), [B * G * C]))
  return transpose(reshape(kept, [B, G, C, W]), [0, 2, 1, 3])
}
