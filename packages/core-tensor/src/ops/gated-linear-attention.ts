import {
  add,
  exp,
  expandDims,
  matMul,
  mul,
  ones,
  pad,
  reshape,
  stack,
  sum,
  type Tensor,
  type TensorInfo,
  unstack,
  zeros,
} from '@tensorflow/tfjs-core'
import { defineOp, differentiated, type OpSheet } from '../op.js'
import { joined, logDecays, tokenDecays } from './block-decays.js'
import { chunked, halves, unchunked } from './chunks.js'

export interface GatedLinearAttentionInputs {
  readonly q: Tensor
  readonly k: Tensor
  readonly v: Tensor
  /** Logarithm of the decay of the state, at most 0; none if absent. Any axis but H may be 1. */
  readonly logDecay?: Tensor
  /** Where given, a token is read before it is written, and this times the token itself is added. */
  readonly bonus?: Tensor
  /** 1 where a token starts from an empty state. */
  readonly resets?: Tensor
  readonly state?: Tensor
}

export interface GatedLinearAttentionAttrs {
  /** Tokens handled by one block of matrix products, rounded up to a power of two. Changes cost, not results. */
  readonly chunk: number
  /** Multiplies q; 0 means K^-1/2. */
  readonly scale: number
}

interface Outputs {
  readonly o: Tensor
  readonly state: Tensor
}

const sizeNames = ['B', 'T', 'G', 'H', 'K', 'V', 'B1', 'T1', 'K1'] as const
export type GatedLinearAttentionSizes = Readonly<Record<(typeof sizeNames)[number], number>>

type GatedShapes = Readonly<Record<'q' | 'v', TensorInfo>> & { readonly logDecay?: TensorInfo }

/**
 * Sizes of a call; an axis of logDecay that is 1 stands for as many as there are.
 *
 * @throws RangeError where heads are no multiple of groups, or logDecay does not broadcast
 */
export function gatedLinearAttentionSizes({ q, v, logDecay }: GatedShapes): GatedLinearAttentionSizes {
  const [B, T, G, K] = q.shape as [number, number, number, number]
  const [H, V] = v.shape.slice(2) as [number, number]
  if (H % G !== 0) {
    throw new RangeError(`gatedLinearAttention: expected heads of v in whole groups of q, got H=${H} for G=${G}.`)
  }
  const [B1, T1, , K1] = (logDecay?.shape ?? [1, 1, H, 1]) as [number, number, number, number]
  const fits = (size: number, full: number): boolean => size === 1 || size === full
  if (!fits(B1, B) || !fits(T1, T) || !fits(K1, K)) {
    throw new RangeError(
      `gatedLinearAttention logDecay: expected [${B}, ${T}, ${H}, ${K}], or 1 for any but H, got [${B1}, ${T1}, ${H}, ${K1}].`,
    )
  }
  return { B, T, G, H, K, V, B1, T1, K1 }
}

/** Every head gets the q or k of its group. */
function spreadGroups(x: Tensor, H: number): Tensor {
  const [B, T, G, K] = x.shape as [number, number, number, number]
  return G === H ? x : reshape(mul(reshape(x, [B, T, G, 1, K]), ones([1, 1, 1, H / G, 1])), [B, T, H, K])
}

/** What the token itself adds to its own output: (q . k) v, or with a bonus (q . u k) v. */
function ownToken(q: Tensor, k: Tensor, v: Tensor, bonus: Tensor | undefined): Tensor {
  const products = bonus === undefined ? mul(q, k) : mul(mul(q, k), bonus)
  return mul(sum(products, -1, true), v)
}

function reference(inputs: GatedLinearAttentionInputs, attrs: GatedLinearAttentionAttrs): Outputs {
  const sizes = gatedLinearAttentionSizes(inputs)
  const { B, T, H, K, V, K1 } = sizes
  const C = 2 ** Math.ceil(Math.log2(Math.max(1, Math.min(attrs.chunk, T))))
  const n = Math.ceil(T / C)
  const [N, M] = [B * H, B * H * n]
  const q = mul(spreadGroups(inputs.q, H), attrs.scale || K ** -0.5)
  const k = spreadGroups(inputs.k, H)
  const [qs, ks, vs] = [chunked(q, n, C), chunked(k, n, C), chunked(inputs.v, n, C)]
  const { total, resets } = logDecays(inputs.logDecay, inputs.resets, [B, T, H, K1])
  // with a bonus the token reads before its own decay, but after its reset
  let decays = tokenDecays(total, inputs.bonus === undefined ? total : resets, n, C)

  // within a chunk: blocks of s tokens are joined two by two, the second reading the first
  let o = chunked(ownToken(q, k, inputs.v, inputs.bonus), n, C)
  for (let s = 1; s < C; s *= 2) {
    const P = (M * C) / (2 * s)
    const [, qAfter] = halves(qs, P, s)
    const [kBefore] = halves(ks, P, s)
    const [vBefore] = halves(vs, P, s)
    const { before, after, blocks } = joined(decays, P, s)
    const scores = matMul(mul(qAfter, exp(after)), mul(kBefore, exp(before)), false, true)
    const read = pad(matMul(scores, vBefore), [
      [0, 0],
      [s, 0],
      [0, 0],
    ])
    o = add(reshape(o, [P, 2 * s, V]), read)
    decays = blocks
  }
  const { across, fromStart, toEnd } = decays

  const rows = (x: Tensor): Tensor => reshape(x, [M, C, -1])
  const written = matMul(mul(rows(ks), exp(toEnd)), rows(vs), true, false)
  const writes = unstack(reshape(written, [N, n, K, V]), 1)
  const kept = unstack(reshape(exp(across), [N, n, K1, 1]), 1)
  const before: Tensor[] = []
  let S: Tensor = inputs.state === undefined ? zeros([N, K, V]) : reshape(inputs.state, [N, K, V])
  for (let i = 0; i < n; i++) {
    before.push(S)
    S = add(mul(S, kept[i] as Tensor), writes[i] as Tensor)
  }
  const states = n === 1 ? expandDims(before[0] as Tensor, 1) : stack(before, 1)
  o = add(rows(o), matMul(mul(rows(qs), exp(fromStart)), reshape(states, [M, K, V])))
  return { o: unchunked(reshape(o, [N, n * C, V]), T, H), state: reshape(S, [B, H, K, V]) }
}

/**
 * Linear attention with a decaying matrix state; by its decay it is linear attention (none), retention (one constant a
 * head), Mamba-2's SSD and simple GLA (one a token and head), GLA and HGRN2 (one a key channel), RWKV-5 and 6 (with
 * `bonus`).
 *
 *   S_t = diag(α_t) S_{t-1} + k_t v_tᵀ;   o_t = scale · S_tᵀ q_t
 *   with bonus u:   o_t = scale · (S_{t-1} + diag(u) k_t v_tᵀ)ᵀ q_t
 *
 * q, k `[B, T, G, K]`, where G divides H and head h uses group floor(h / (H / G)); v `[B, T, H, V]`; logDecay = ln α
 * `[B, T, H, K]`, at most 0, where B, T and K may be 1: `[1, 1, H, 1]` is a constant decay a head, `[B, T, H, 1]` one
 * for all channels; bonus `[H, K]`; resets `[B, T]`; state `[B, H, K, V]`. Returns o `[B, T, H, V]` and the state after
 * T tokens. Time O(T K V), state O(K V) a head.
 * Source: Yang et al. 2023, arXiv:2312.06635, section 4; Dao and Gu 2024, arXiv:2405.21060, section 6; Peng et al. 2024,
 * arXiv:2404.05892, section 4.
 */
export const gatedLinearAttention = defineOp<GatedLinearAttentionInputs, GatedLinearAttentionAttrs, Outputs>({
  name: 'gatedLinearAttention',
  inputs: {
    q: 'B T G K',
    k: 'B T G K',
    v: 'B T H V',
    logDecay: '?B1 T1 H K1',
    bonus: '?H K',
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
export const gatedLinearAttentionSheet: OpSheet<GatedLinearAttentionInputs, GatedLinearAttentionAttrs> = {
  equation: 'S_t = \\mathrm{diag}(\\alpha_t) S_{t-1} + k_t v_t^\\top, \\quad o_t = S_t^\\top q_t',
  draw: { logDecay: 'logDecay', resets: 'rare' },
  cost({ B = 1, T = 1, G = 1, H = 1, K = 1, V = 1, B1 = 1, T1 = 1, K1 = 1 }) {
    const values = B * T * (2 * G * K + 2 * H * V) + B1 * T1 * H * K1
    return { flops: 5 * B * T * H * K * V, bytes: 4 * values, passes: 1 }
  },
  examples: [
    { dims: { B: 2, T: 1, G: 1, H: 2, K: 3, V: 4, B1: 2, T1: 1, K1: 3 }, omit: ['bonus', 'resets'] },
    { dims: { B: 2, T: 1, G: 2, H: 2, K: 4, V: 3, B1: 1, T1: 1, K1: 4 } },
    { dims: { B: 1, T: 2, G: 1, H: 1, K: 2, V: 5, B1: 1, T1: 1, K1: 1 }, omit: ['logDecay', 'resets', 'state'] },
    { dims: { B: 2, T: 9, G: 1, H: 2, K: 4, V: 3, B1: 2, T1: 9, K1: 4 }, attrs: { chunk: 4 } },
    { dims: { B: 2, T: 7, G: 1, H: 2, K: 3, V: 2, B1: 1, T1: 1, K1: 1 }, attrs: { chunk: 1 }, omit: ['bonus'] },
    { dims: { B: 1, T: 63, G: 1, H: 1, K: 3, V: 5, B1: 1, T1: 63, K1: 1 }, omit: ['bonus', 'resets', 'state'] },
    {
      dims: { B: 1, T: 64, G: 2, H: 4, K: 5, V: 2, B1: 1, T1: 1, K1: 5 },
      attrs: { chunk: 16, scale: 1 },
      omit: ['resets'],
    },
    { dims: { B: 1, T: 65, G: 1, H: 2, K: 4, V: 9, B1: 1, T1: 65, K1: 1 }, omit: ['bonus'] },
    { dims: { B: 1, T: 65, G: 1, H: 1, K: 6, V: 4, B1: 1, T1: 1, K1: 1 }, omit: ['logDecay', 'bonus', 'resets'] },
    { dims: { B: 1, T: 1000, G: 1, H: 1, K: 9, V: 3, B1: 1, T1: 1000, K1: 9 }, omit: ['bonus', 'state'] },
    { dims: { B: 2, T: 1024, G: 4, H: 4, K: 32, V: 32, B1: 2, T1: 1024, K1: 32 }, omit: ['bonus', 'resets'] },
  ],
}
