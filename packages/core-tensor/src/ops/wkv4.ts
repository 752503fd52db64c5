import {
  add,
  concat,
  div,
  exp,
  fill,
  maximum,
  minimum,
  mul,
  neg,
  ones,
  reshape,
  slice,
  sub,
  type Tensor,
  zeros,
} from '@tensorflow/tfjs-core'
import { defineOp, differentiated, type OpSheet } from '../op.js'
import { delayed, flags, tokenAt } from './along-time.js'
import type { LoopGaps } from './token-loop.js'

interface Inputs extends LoopGaps {
  readonly k: Tensor
  readonly v: Tensor
  /** The logarithm of the decay is w = -exp(timeDecay). */
  readonly timeDecay: Tensor
  /** Added to the key of the current token where it is read: u. */
  readonly timeFirst: Tensor
  readonly num?: Tensor
  readonly den?: Tensor
  readonly max?: Tensor
}

interface Outputs {
  readonly y: Tensor
  readonly num: Tensor
  readonly den: Tensor
  readonly max: Tensor
}

/** The `max` of an empty state. */
const EMPTY = -1e38
/** Logarithm of the decay over a reset: below EMPTY from any state, so that nothing before it is left. */
const FORGOTTEN = -2.3e38

/** Sums num = Σ e^(k_i - max) v_i and den = Σ e^(k_i - max): all that a stretch of tokens leaves behind. */
interface Sums {
  readonly num: Tensor
  readonly den: Tensor
  readonly max: Tensor
}

/** Sums of an earlier stretch, decayed over the later one, together with those of the later. Associative. */
function joined(earlier: Sums, logDecay: Tensor, later: Sums): Sums {
  const decayed = add(earlier.max, logDecay)
  const max = maximum(decayed, later.max)
  const [old, recent] = [exp(sub(decayed, max)), exp(sub(later.max, max))]
  return {
    num: add(mul(old, earlier.num), mul(recent, later.num)),
    den: add(mul(old, earlier.den), mul(recent, later.den)),
    max,
  }
}

/** The state that came in and then every token, as stretches of one: `[B, 1 + T, D]`, with the decay over each. */
function stretches(inputs: Inputs): { logDecay: Tensor; sums: Sums } {
  const { k, v, timeDecay, resets, mask } = inputs
  const [B, T, D] = k.shape as [number, number, number]
  // beyond e^60 nothing of a state is left in any case, and the exponential must stay finite
  const w = reshape(neg(exp(minimum(timeDecay, 60))), [1, 1, D])
  const start = startOf(inputs)
  const from = (first: Tensor, rest: Tensor): Tensor => concat([reshape(first, [B, 1, D]), rest], 1)
  if (resets === undefined && mask === undefined) {
    const sums = { num: from(start.num, v), den: from(start.den, ones([B, T, D])), max: from(start.max, k) }
    return { logDecay: w, sums }
  }
  const present = mask ? flags(mask) : ones([B, T, 1])
  const decay = resets ? add(mul(present, w), mul(flags(resets), FORGOTTEN)) : mul(present, w)
  return {
    logDecay: from(zeros([B, D]), decay),
    sums: {
      num: from(start.num, mul(v, present)),
      den: from(start.den, mul(ones([B, T, D]), present)),
      max: from(start.max, add(mul(k, present), mul(sub(1, present), EMPTY))),
    },
  }
}

function startOf({ k, num, den, max }: Inputs): Sums {
  const [B, , D] = k.shape as [number, number, number]
  return { num: num ?? zeros([B, D]), den: den ?? zeros([B, D]), max: max ?? fill([B, D], EMPTY) }
}

/** Doubling steps over the associative sums of stretches: log2(T) rounds of whole-sequence ops. */
function reference(inputs: Inputs): Outputs {
  const { k, v, timeFirst, resets } = inputs
  const [B, T, D] = k.shape as [number, number, number]
  let { logDecay, sums } = stretches(inputs)
  for (let span = 1; span <= T; span *= 2) {
    const { num, den, max } = sums
    const earlier = { num: delayed(num, span), den: delayed(den, span), max: delayed(max, span, EMPTY) }
    sums = joined(earlier, logDecay, sums)
    logDecay = logDecay.shape[1] === 1 ? mul(logDecay, 2) : maximum(add(logDecay, delayed(logDecay, span)), FORGOTTEN)
  }
  // a token reads what stood before it, and itself with the bonus
  const before = (x: Tensor): Tensor => slice(x, [0, 0, 0], [B, T, D])
  const last = (x: Tensor): Tensor => tokenAt(x, T)
  const memory = resets ? add(before(sums.max), mul(flags(resets), FORGOTTEN)) : before(sums.max)
  const current = add(k, timeFirst)
  const largest = maximum(memory, current)
  const [old, recent] = [exp(sub(memory, largest)), exp(sub(current, largest))]
  const y = div(add(mul(old, before(sums.num)), mul(recent, v)), add(mul(old, before(sums.den)), recent))
  return { y, num: last(sums.num), den: last(sums.den), max: last(sums.max) }
}

/**
 * The weighted average of RWKV-4, in log space: values are averaged with weights e^k that decay by e^w a token, the
 * current one with the bonus e^u.
 *
 *   y_t = (Σ_{i<t} e^{(t-1-i)w + k_i} v_i + e^{u + k_t} v_t) / (Σ_{i<t} e^{(t-1-i)w + k_i} + e^{u + k_t})
 *
 * k, v `[B, T, D]` of any size; timeDecay `[D]` with w = -exp(timeDecay); timeFirst u `[D]`; resets and mask `[B, T]`.
 * The state is num, den and max `[B, D]`: the sums above as num e^max and den e^max, of which only those products are
 * uniquely defined. Absent parts are those of an empty state: num = den = 0 and max = -1e38. Returns y `[B, T, D]` and
 * the state after T tokens; y at padding is as if its token were read. No exponent is positive. Time O(B T D) in one pass
 * with a kernel, O(B T D log T) by the reference; state 3 B D.
 * Source: Peng et al. 2023, arXiv:2305.13048, section 3.1 and appendix on the stable form.
 */
export const wkv4 = defineOp<Inputs, object, Outputs>({
  name: 'wkv4',
  inputs: {
    k: 'B T D',
    v: 'B T D',
    timeDecay: 'D',
    timeFirst: 'D',
    resets: '?B T',
    mask: '?B T',
    num: '?B D',
    den: '?B D',
    max: '?B D',
  },
  outputs: { y: 'B T D', num: 'B D', den: 'B D', max: 'B D' },
  mixes: { values: 'v', output: 'y', carried: ['num'] },
  keepOutputs: false,
  attrs: {},
  reference,
  gradient: differentiated(reference),
})

/** What the laws, the self-test and the bench go by. */
export const wkv4Sheet: OpSheet<Inputs, object> = {
  equation:
    'y_t = \\frac{\\sum_{i<t} e^{(t-1-i)w + k_i} v_i + e^{u + k_t} v_t}{\\sum_{i<t} e^{(t-1-i)w + k_i} + e^{u + k_t}}, \\quad w = -e^{d}',
  draw: { resets: 'rare', mask: 'mask', den: 'positive' },
  cost: ({ B = 1, T = 1, D = 1 }) => ({ flops: 90 * B * T * D, bytes: 12 * B * T * D, passes: 1 }),
  examples: [
    { dims: { B: 2, T: 1, D: 3 } },
    { dims: { B: 1, T: 2, D: 4 }, omit: ['resets', 'mask'] },
    { dims: { B: 2, T: 9, D: 5 }, omit: ['mask'] },
    { dims: { B: 1, T: 63, D: 5 }, omit: ['resets', 'mask', 'num', 'den', 'max'] },
    { dims: { B: 2, T: 64, D: 3 }, omit: ['resets', 'num', 'den', 'max'] },
    { dims: { B: 1, T: 65, D: 7 } },
    { dims: { B: 1, T: 1000, D: 4 }, omit: ['resets', 'mask'] },
    { dims: { B: 8, T: 512, D: 256 }, omit: ['resets', 'mask', 'num', 'den', 'max'] },
  ],
}
