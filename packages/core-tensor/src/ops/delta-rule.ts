import {
  add,
  concat,
  exp,
  matMul,
  mul,
  reshape,
  sub,
  type Tensor,
  tensor2d,
  unstack,
  zeros,
} from '@tensorflow/tfjs-core'
import { defineOp, differentiated, type OpSheet } from '../op.js'
import { logDecays, pairSums, tokenDecays } from './block-decays.js'
import { type ChunkAttrs, chunked, type StateOutputs, unchunked } from './chunks.js'
import { unitLowerInverse } from './unit-lower-inverse.js'

interface Inputs {
  readonly q: Tensor
  readonly k: Tensor
  readonly v: Tensor
  /** How much of the error is corrected, usually in (0, 1), up to 2 for negative eigenvalues. */
  readonly beta: Tensor
  /** Logarithm of the decay of the state before each token; none if absent. */
  readonly logDecay?: Tensor
  /** 1 where a token starts from an empty state. */
  readonly resets?: Tensor
  readonly state?: Tensor
}

const lower = (C: number, strict: boolean): Tensor =>
  tensor2d(
    Float32Array.from({ length: C * C }, (_, i) => (i % C < Math.floor(i / C) + (strict ? 0 : 1) ? 1 : 0)),
    [C, C],
  )

function reference(inputs: Inputs, attrs: ChunkAttrs): StateOutputs {
  const [B, T, H, K] = inputs.q.shape as [number, number, number, number]
  const V = inputs.v.shape[3] as number
  const C = 2 ** Math.ceil(Math.log2(Math.max(1, Math.min(attrs.chunk, T))))
  const n = Math.ceil(T / C)
  const N = B * H
  const gates = (x: Tensor): Tensor => chunked(reshape(x, [B, T, H, 1]), n, C) // [N, n, C, 1]
  const rows = (x: Tensor, W: number): Tensor => reshape(x, [N * n, C, W])

  const beta = gates(inputs.beta)
  const q = mul(chunked(inputs.q, n, C), attrs.scale || K ** -0.5)
  const k = chunked(inputs.k, n, C)
  const kBeta = mul(k, beta)
  const vBeta = mul(chunked(inputs.v, n, C), beta)

  // what of the incoming state, and of each earlier token, is left at token i of the chunk, and at the chunk's end
  const decays = chunkDecays(inputs, n, C)
  const within = decays === null ? lower(C, false) : mul(decays.pairs, lower(C, false))
  const A = mul(mul(matMul(rows(kBeta, K), rows(k, K), false, true), within), lower(C, true))
  const inverse = unitLowerInverse(A)
  const fromStart = (x: Tensor): Tensor => (decays === null ? x : mul(x, decays.fromStart))
  const U = reshape(matMul(inverse, rows(vBeta, V)), [N, n, C, V])
  const W = reshape(matMul(inverse, rows(fromStart(kBeta), K)), [N, n, C, K])
  const scores = reshape(mul(matMul(rows(q, K), rows(k, K), false, true), within), [N, n, C, C])
  const readers = unstack(fromStart(q), 1)
  const writers = unstack(decays === null ? k : mul(k, decays.toEnd), 1)
  const carried = decays === null ? null : unstack(decays.across, 1)

  let S: Tensor = inputs.state === undefined ? zeros([N, K, V]) : reshape(inputs.state, [N, K, V])
  const [Us, Ws, Ps] = [unstack(U, 1), unstack(W, 1), unstack(scores, 1)]
  const outputs: Tensor[] = []
  for (let i = 0; i < n; i++) {
    const values = sub(Us[i] as Tensor, matMul(Ws[i] as Tensor, S))
    outputs.push(add(matMul(readers[i] as Tensor, S), matMul(Ps[i] as Tensor, values)))
    const kept = carried === null ? S : mul(S, carried[i] as Tensor)
    S = add(kept, matMul(writers[i] as Tensor, values, true, false))
  }
  return { o: unchunked(concat(outputs, 1), T, H), state: reshape(S, [B, H, K, V]) }
}

interface ChunkDecays {
  /** Decay from token j to token i, `[N n, C, C]`. */
  readonly pairs: Tensor
  /** From the chunk's start to token i, inclusive, `[N, n, C, 1]`. */
  readonly fromStart: Tensor
  /** From token j to the chunk's end, `[N, n, C, 1]`. */
  readonly toEnd: Tensor
  /** Over the whole chunk, `[N, n, 1, 1]`. */
  readonly across: Tensor
}

function chunkDecays({ q, logDecay, resets }: Inputs, n: number, C: number): ChunkDecays | null {
  if (logDecay === undefined && resets === undefined) return null
  const [B, T, H] = q.shape as [number, number, number]
  const perHead = logDecay && reshape(logDecay, [B, T, H, 1])
  const { total } = logDecays(perHead, resets, [B, T, H, 1])
  const { pairs, decays } = pairSums(tokenDecays(total, total, n, C), C)
  const parts = (x: Tensor, rows: number): Tensor => reshape(exp(x), [B * H, n, rows, -1])
  return {
    pairs: exp(pairs),
    fromStart: parts(decays.fromStart, C),
    toEnd: parts(decays.toEnd, C),
    across: parts(decays.across, 1),
  }
}

/**
 * (Gated) delta rule, chunk by chunk: decay the matrix state, then correct what it stores under k_t.
 *
 *   S' = α_t S_{t-1};   S_t = S' + β_t k_t (v_t − S'ᵀ k_t)ᵀ;   o_t = scale · S_tᵀ q_t
 *
 * q, k `[B, T, H, K]`, v `[B, T, H, V]`, beta and logDecay = ln α `[B, T, H]` (logDecay <= 0), resets `[B, T]`, state
 * `[B, H, K, V]`; returns o `[B, T, H, V]` and the state after T tokens. Inside a chunk the corrections form a unit
 * triangular system (the WY form), so a chunk is a few matrix products: time O(T (C + K) V + T C²), state O(K V).
 * Source: Yang et al. 2024, arXiv:2406.06484, section 3.2; Yang et al. 2024, arXiv:2412.06464, section 3.
 */
export const deltaRule = defineOp<Inputs, ChunkAttrs, StateOutputs>({
  name: 'deltaRule',
  inputs: {
    q: 'B T H K',
    k: 'B T H K',
    v: 'B T H V',
    beta: 'B T H',
    logDecay: '?B T H',
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
export const deltaRuleSheet: OpSheet<Inputs, ChunkAttrs> = {
  equation: 'S_t = \\alpha_t (I - \\beta_t k_t k_t^\\top) S_{t-1} + \\beta_t k_t v_t^\\top, \\quad o_t = S_t^\\top q_t',
  draw: { k: 'unitVector', beta: 'unit', logDecay: 'logDecay', resets: 'rare' },
  cost({ B = 1, T = 1, H = 1, K = 1, V = 1 }) {
    return { flops: 7 * B * H * T * K * V, bytes: 4 * B * H * T * (2 * K + 2 * V + 2), passes: 1 }
  },
  examples: [
    { dims: { B: 2, T: 1, H: 2, K: 3, V: 4 }, omit: ['resets'] },
    { dims: { B: 1, T: 2, H: 1, K: 2, V: 3 }, attrs: { chunk: 1 }, omit: ['resets', 'logDecay'] },
    { dims: { B: 2, T: 9, H: 2, K: 4, V: 3 }, attrs: { chunk: 4 } },
    { dims: { B: 1, T: 5, H: 2, K: 7, V: 21 }, omit: ['resets'] },
    { dims: { B: 1, T: 63, H: 2, K: 5, V: 7 }, attrs: { chunk: 16, scale: 1 }, omit: ['resets', 'state'] },
    { dims: { B: 1, T: 64, H: 3, K: 8, V: 5 }, omit: ['logDecay', 'resets', 'state'] },
    { dims: { B: 1, T: 65, H: 1, K: 4, V: 6 }, attrs: { chunk: 16 }, omit: ['state'] },
    { dims: { B: 1, T: 1000, H: 1, K: 9, V: 3 }, omit: ['state'] },
    { dims: { B: 2, T: 1024, H: 4, K: 32, V: 32 }, omit: ['resets'] },
  ],
}
