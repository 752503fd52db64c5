import { checkInteger } from './check.js'

/** Entropies of a text under its own counts, in nats per token. */
export interface Entropies {
  /** H1 = -sum p(x) ln p(x): of one token. */
  readonly unigram: number
  /** H(x, y): of two neighbours together. */
  readonly pair: number
  /** H2 = H(y | x) = H(x, y) - H(x): of a token given the one before. */
  readonly conditional: number
}

/** Plain (maximum likelihood) entropies; `conditional` takes H(x) over the tokens that have a successor. */
export function entropies(tokens: ArrayLike<number>, size: number): Entropies {
  const single = new Map<number, number>()
  const first = new Map<number, number>()
  const pairs = new Map<number, number>()
  for (let i = 0; i < tokens.length; i++) {
    const token = tokens[i] as number
    bump(single, token)
    if (i === tokens.length - 1) continue
    bump(first, token)
    bump(pairs, token * size + (tokens[i + 1] as number))
  }
  const pair = entropy(pairs)
  return { unigram: entropy(single), pair, conditional: pair - entropy(first) }
}

/**
 * An n-gram model: Witten-Bell interpolation of every order down to the uniform distribution,
 * `p(w | h) = (c(h, w) + N(h) p(w | h')) / (c(h) + N(h))`, where N(h) counts the distinct tokens seen after h and h'
 * drops the oldest token of h.
 *
 * Source: Witten and Bell 1991, IEEE Transactions on Information Theory 37(4); Chen and Goodman 1999.
 */
export class NgramModel {
  private readonly levels: readonly Level[]

  /**
   * @param order n, 1 for a unigram; size^n must stay below 2^53
   * @throws RangeError for an order that does not fit the size
   */
  constructor(
    tokens: ArrayLike<number>,
    readonly size: number,
    readonly order: number,
  ) {
    checkInteger('NgramModel.order', order, 1, largestOrder(size))
    this.levels = Array.from({ length: order }, (_, back) => countLevel(tokens, size, back))
  }

  /** p(token at i | up to n - 1 tokens before it). */
  probability(tokens: ArrayLike<number>, i: number): number {
    let p = 1 / this.size
    let context = 0
    for (let back = 0; back < this.order && back <= i; back++) {
      if (back > 0) context += (tokens[i - back] as number) * this.size ** (back - 1)
      const level = this.levels[back] as Level
      const total = level.total.get(context)
      if (total === undefined) break
      const types = level.types.get(context) as number
      p = ((level.joint.get(context * this.size + (tokens[i] as number)) ?? 0) + types * p) / (total + types)
    }
    return p
  }

  /** Mean loss in nats over every token but the first, which a model is not asked for either. */
  lossNats(tokens: ArrayLike<number>): number {
    let nats = 0
    for (let i = 1; i < tokens.length; i++) nats -= Math.log(this.probability(tokens, i))
    return nats / (tokens.length - 1)
  }
}

/** The highest order whose contexts and tokens together fit an exact integer. */
export function largestOrder(size: number): number {
  return Math.floor(53 / Math.log2(Math.max(2, size)))
}

interface Level {
  readonly joint: ReadonlyMap<number, number>
  readonly total: ReadonlyMap<number, number>
  readonly types: ReadonlyMap<number, number>
}

function countLevel(tokens: ArrayLike<number>, size: number, back: number): Level {
  const joint = new Map<number, number>()
  const total = new Map<number, number>()
  const types = new Map<number, number>()
  const span = size ** back
  let context = 0
  for (let i = 0; i < tokens.length; i++) {
    const token = tokens[i] as number
    if (i >= back) {
      bump(total, context)
      if (bump(joint, context * size + token) === 1) bump(types, context)
    }
    context = (context * size + token) % span
  }
  return { joint, total, types }
}

function bump(counts: Map<number, number>, key: number): number {
  const count = (counts.get(key) ?? 0) + 1
  counts.set(key, count)
  return count
}

function entropy(counts: ReadonlyMap<number, number>): number {
  let total = 0
  for (const count of counts.values()) total += count
  let nats = 0
  for (const count of counts.values()) nats -= (count / total) * Math.log(count / total)
  return nats
}
