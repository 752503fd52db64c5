import { add, exp, matMul, mul, neg, reshape, stack, sum, type Tensor, unstack, zeros } from '@tensorflow/tfjs-core'
import { defineOp, differentiated, type OpSheet } from '../op.js'
import { type BlockDecays, joined, joinedSquares, logDecays, tokenDecays } from './block-decays.js'
import { type ChunkAttrs, chunked, halves, type StateOutputs, unchunked } from './chunks.js'
import { unitLowerInverse } from './unit-lower-inverse.js'

export interface DplrDeltaRuleInputs {
  readonly q: Tensor
  readonly k: Tensor
  readonly v: Tensor
  /** Reads the state before the token's decay. */
  readonly a: Tensor
  /** Where in the state that reading is written. */
  readonly b: Tensor
  /** Logarithm of the decay of the state, at most 0; none if absent. */
  readonly logDecay?: Tensor
  /** 1 where a token starts from an empty state. */
  readonly resets?: Tensor
  readonly state?: Tensor
}

/** Products of every reading row with every writing row before it in its chunk, `[chunks, C, C]`. */
interface Pairs {
  readonly ab: Tensor
  readonly ak: Tensor
  readonly qb: Tensor
  readonly qk: Tensor
}

type Rows = Readonly<Record<'a' | 'q' | 'b' | 'k', Tensor>>

/** Decayed products within chunks of C tokens, and the decays of whole chunks. A token does not meet itself. */
function decayedPairs(rows: Rows, tokens: BlockDecays, C: number): { pairs: Pairs; decays: BlockDecays } {
  const count = tokens.across.shape[0] as number
  const none = zeros([count, 1, 1])
  let pairs: Pairs = { ab: none, ak: none, qb: none, qk: none }
  let decays = tokens
  for (let s = 1; s < C; s *= 2) {
    const P = count / (2 * s)
    const { before, after, blocks } = joined(decays, P, s)
    const [keptAfter, keptBefore] = [exp(after), exp(before)]
    const reader = (x: Tensor): Tensor => mul(halves(x, P, s)[1], keptAfter)
    const writer = (x: Tensor): Tensor => mul(halves(x, P, s)[0], keptBefore)
    const [a, q, b, k] = [reader(rows.a), reader(rows.q), writer(rows.b), writer(rows.k)]
    // the second block reads the first
    const join = (x: Tensor, read: Tensor, written: Tensor): Tensor =>
      joinedSquares(x, matMul(read, written, false, true), P, s)
    pairs = {
      ab: join(pairs.ab, a, b),
      ak: join(pairs.ak, a, k),
      qb: join(pairs.qb, q, b),
      qk: join(pairs.qk, q, k),
    }
    decays = blocks
  }
  return { pairs, decays }
}

function reference(inputs: DplrDeltaRuleInputs, attrs: ChunkAttrs): StateOutputs {
  const [B, T, H, K] = inputs.q.shape as [number, number, number, number]
  const V = inputs.v.shape[3] as number
  const C = 2 ** Math.ceil(Math.log2(Math.max(1, Math.min(attrs.chunk, T))))
  const n = Math.ceil(T / C)
  const [N, M] = [B * H, B * H * n]
  const rows = (x: Tensor): Tensor => reshape(chunked(x, n, C), [M, C, -1])
  const { total, resets } = logDecays(inputs.logDecay, inputs.resets, [B, T, H, K])
  const q = mul(inputs.q, attrs.scale || K ** -0.5)
  // what a token reads of the state before it: with a before its decay, with q after it, both after its reset
  const decayed = inputs.logDecay === undefined ? q : mul(q, exp(inputs.logDecay))
  const v = rows(inputs.v)
  const [a, b, k, reader] = [rows(inputs.a), rows(inputs.b), rows(inputs.k), rows(decayed)]
  const { pairs, decays } = decayedPairs({ a, b, k, q: reader }, tokenDecays(total, resets, n, C), C)
  const fromStart = exp(reshape(decays.fromStart, [M, C, K]))
  const toEnd = exp(reshape(decays.toEnd, [M, C, K]))

  // x_t = a_t^T S_{t-1} is a sum over earlier x: a unit triangular system, solved for what v and what the state puts in
  const inverse = unitLowerInverse(neg(pairs.ab))
  const ofValues = matMul(inverse, matMul(pairs.ak, v))
  const ofState = matMul(inverse, mul(a, fromStart))
  const written = matMul(mul(k, toEnd), v, true, false)
  const parts = (x: Tensor): Tensor[] => unstack(reshape(x, [N, n, x.shape[1] as number, x.shape[2] as number]), 1)
  const [us, ws, bs, writes] = [parts(ofValues), parts(ofState), parts(mul(b, toEnd)), parts(written)]
  const kept = parts(exp(reshape(decays.across, [M, K, 1])))
  const [states, xs]: [Tensor[], Tensor[]] = [[], []]
  let S: Tensor = inputs.state === undefined ? zeros([N, K, V]) : reshape(inputs.state, [N, K, V])
  for (let i = 0; i < n; i++) {
    const x = add(us[i] as Tensor, matMul(ws[i] as Tensor, S))
    states.push(S)
    xs.push(x)
    const added = add(writes[i] as Tensor, matMul(bs[i] as Tensor, x, true, false))
    S = add(mul(S, kept[i] as Tensor), added)
  }
  const x = reshape(stack(xs, 1), [M, C, V])
  const own = (written: Tensor): Tensor => rows(sum(mul(q, written), -1, true))
  const fromTokens = add(
    add(matMul(pairs.qk, v), mul(own(inputs.k), v)),
    add(matMul(pairs.qb, x), mul(own(inputs.b), x)),
  )
  const fromState = matMul(mul(reader, fromStart), reshape(stack(states, 1), [M, K, V]))
  const o = reshape(add(fromTokens, fromState), [N, n * C, V])
  return { o: unchunked(o, T, H), state: reshape(S, [B, H, K, V]) }
}

/**
 * Generalised delta rule, whose transition is diagonal plus low rank (DPLR): the state decays by channel, and what is
 * read of it under a_t is written under b_t. With a = α k, b = -β k and β k written it is the gated delta rule; RWKV-7 is
 * a = -κ, b = κ times its in-context learning rate, κ of length 1, and scale 1.
 *
 *   S_t = diag(α_t) S_{t-1} + b_t (a_tᵀ S_{t-1}) + k_t v_tᵀ;   o_t = scale · S_tᵀ q_t
 *
 * q, k, a, b, logDecay = ln α `[B, T, H, K]` (logDecay <= 0), v `[B, T, H, V]`, resets `[B, T]`, state `[B, H, K, V]`;
 * returns o `[B, T, H, V]` and the state after T tokens. It is for the caller to keep diag(α) + b aᵀ from growing: a and
 * b of length at most 1 on opposite sides do. Time O(T (C + K) V + T C (C + K)), state O(K V) a head.
 * Source: Peng et al. 2025, arXiv:2503.14456, section 4; Yang et al. 2024, arXiv:2406.06484, section 3.2 (the WY form).
 */
export const dplrDeltaRule = defineOp<DplrDeltaRuleInputs, ChunkAttrs, StateOutputs>({
  name: 'dplrDeltaRule',
  inputs: {
    q: 'B T H K',
    k: 'B T H K',
    v: 'B T H V',
    a: 'B T H K',
    b: 'B T H K',
    logDecay: '?B T H K',
    resets: '?B T',
    state: '?B H K V',
  },
  outputs: { o: 'B T H V', state: 'B H K V' },
  mixes: { values: 'v', output: 'o', carried: ['state'] },
  keepOutputs: false,
  attrs: { chunk: 64, scale: 0 },
  reference,
  gradient: differentiated(reference),
})

/** What the laws, the self-test and the bench go by. */
export const dplrDeltaRuleSheet: OpSheet<DplrDeltaRuleInputs, ChunkAttrs> = {
  equation: 'S_t = (\\mathrm{diag}(\\alpha_t) + b_t a_t^\\top) S_{t-1} + k_t v_t^\\top, \\quad o_t = S_t^\\top q_t',
  draw: { a: 'unitVector', b: 'unitVector', logDecay: 'logDecay', resets: 'rare' },
  cost({ B = 1, T = 1, H = 1, K = 1, V = 1 }) {
    return { flops: 9 * B * T * H * K * V, bytes: 4 * B * T * H * (5 * K + 2 * V), passes: 1 }
  },
  examples: [
    { dims: { B: 2, T: 1, H: 2, K: 3, V: 4 }, omit: ['resets'] },
    { dims: { B: 2, T: 1, H: 1, K: 4, V: 3 } },
    { dims: { B: 1, T: 2, H: 1, K: 2, V: 3 }, attrs: { chunk: 1 }, omit: ['resets', 'logDecay'] },
    { dims: { B: 2, T: 9, H: 2, K: 4, V: 3 }, attrs: { chunk: 4 } },
    { dims: { B: 1, T: 5, H: 2, K: 7, V: 21 }, omit: ['resets'] },
    { dims: { B: 1, T: 63, H: 1, K: 5, V: 7 }, attrs: { chunk: 16, scale: 1 }, omit: ['resets', 'state'] },
    { dims: { B: 1, T: 65, H: 1, K: 3, V: 6 }, attrs: { chunk: 8 }, omit: ['state'] },
    { dims: { B: 1, T: 64, H: 3, K: 8, V: 5 }, omit: ['logDecay', 'resets', 'state'] },
    { dims: { B: 1, T: 1000, H: 1, K: 9, V: 3 }, omit: ['resets'] },
    { dims: { B: 2, T: 1024, H: 4, K: 32, V: 32 }, omit: ['resets'] },
  ],
}
