import { joined } from '@mneme/core-tensor'
import {
  add,
  cumsum,
  exp,
  expandDims,
  matMul,
  mul,
  slice,
  split,
  squeeze,
  sub,
  sum,
  type Tensor,
  tensor2d,
  transpose,
} from '@tensorflow/tfjs-core'
import type { FastWeights, InnerGradient, MemoryNet } from './memory-net.js'

/** N memories in the middle of a sequence. All weights `[N, ...]`. */
export type FastState = {
  /** Weights after the last token. */
  readonly weights: FastWeights
  /** Decaying sum of past steps; null for a memory without momentum. */
  readonly momentum: FastWeights | null
  /** Weights at the start of the open chunk, where its gradients are taken; null when none is open: then `weights`. */
  readonly point: FastWeights | null
  /** Tokens of the open chunk so far. */
  readonly filled: number
}

/** What a stretch of tokens does to N memories. k, q, v `[N, T, K]`, gates `[N, T, 1]`. */
export interface Surprises {
  readonly q: Tensor
  readonly k: Tensor
  readonly v: Tensor
  /** Step size θ. */
  readonly step: Tensor
  /** ln(1 − α), at most 0. */
  readonly logDecay: Tensor
  /** ln η, at most 0; null for a memory without momentum. */
  readonly logMomentum: Tensor | null
}

export interface Written {
  /** M_t(q_t), `[N, T, K]`. */
  readonly read: Tensor
  /** Loss of each token before it was stored, at the weights its gradient was taken at, `[N, T, 1]`. */
  readonly loss: Tensor
  readonly state: FastState
}

/**
 * Stores tokens by gradient descent with momentum and weight decay, and reads after each.
 *
 *   S_t = η_t S_{t-1} − θ_t ∇ℓ(M_c; k_t, v_t),   M_t = (1 − α_t) M_{t-1} + S_t,   y_t = M_t(q_t)
 *
 * M_c are the weights at the start of the chunk that t is in, so the gradients of a chunk are one batch of matrix
 * products. Chunks are counted from the start of the sequence and one may stay open, so T is any length, and a chunk of
 * one token is the exact recurrence. Time O(T (E K + C K)) and a fixed number of ops a chunk, K the width, E the inner
 * width, C the chunk; the weights between tokens are never formed.
 * Paper: Behrouz et al. 2025, arXiv:2501.00663, sections 3.1 and 3.2.
 */
export function storeAndRead(net: MemoryNet, state: FastState, tokens: Surprises, chunk: number): Written {
  const T = tokens.k.shape[1] as number
  const sizes: number[] = []
  for (let t = 0, filled = state.filled; t < T; filled = 0) {
    const size = Math.min(T - t, chunk - filled)
    sizes.push(size)
    t += size
  }
  const pieces = (x: Tensor): Tensor[] => (sizes.length === 1 ? [x] : split(x, sizes, 1))
  const [qs, ks, vs] = [pieces(tokens.q), pieces(tokens.k), pieces(tokens.v)]
  const [steps, decays] = [pieces(tokens.step), pieces(tokens.logDecay)]
  const momenta = tokens.logMomentum && pieces(tokens.logMomentum)
  const reads: Tensor[] = []
  const losses: Tensor[] = []
  let current = state
  for (const [i, size] of sizes.entries()) {
    const piece = {
      q: qs[i] as Tensor,
      k: ks[i] as Tensor,
      v: vs[i] as Tensor,
      step: steps[i] as Tensor,
      logDecay: decays[i] as Tensor,
      logMomentum: momenta && (momenta[i] as Tensor),
    }
    const written = withinChunk(net, current, piece)
    reads.push(written.read)
    losses.push(written.loss)
    const filled = current.filled + size
    current = filled === chunk ? { ...written.state, point: null, filled: 0 } : { ...written.state, filled }
  }
  return { read: joined(reads, 1), loss: joined(losses, 1), state: current }
}

/**
 * Tokens whose gradients are all taken at one point. Both recurrences are linear in those gradients, so
 *
 *   W_t = β_t W_0 + σ_t S_0 − Σ_{i ≤ t} Λ_ti θ_i a_iᵀ g_i
 *
 * and z W_t needs only z W_0, z S_0, the products z·a_i and the rows g_i.
 */
function withinChunk(net: MemoryNet, state: FastState, tokens: Surprises): Written {
  const point = state.point ?? state.weights
  const gradient = net.gradient(point, tokens.k, tokens.v)
  const { weights, momentum } = sharesOf(tokens)
  const kept: Kept[] = [[weights.kept, state.weights]]
  if (state.momentum !== null && weights.pushed !== null) kept.push([weights.pushed, state.momentum])
  const read = readAlong(net, tokens, gradient, kept, weights.written)
  const after = (parts: readonly Kept[], written: Tensor): FastWeights =>
    atEnd(parts, summed(gradient, mul(transpose(lastToken(written), [0, 2, 1]), tokens.step)))
  return {
    read,
    loss: gradient.loss,
    state: {
      weights: after(kept, weights.written),
      momentum: state.momentum && momentum && after([[momentum.kept, state.momentum]], momentum.written),
      point,
      filled: state.filled,
    },
  }
}

/** Weights from before the chunk, and what is left of them at each token, `[N, C, 1]`. */
type Kept = readonly [share: Tensor, weights: FastWeights]

interface Shares {
  /** Of the weights before the chunk in those after token t: β_t, `[N, C, 1]`. */
  readonly kept: Tensor
  /** Of the momentum before the chunk in the weights after token t: σ_t, `[N, C, 1]`. */
  readonly pushed: Tensor | null
  /** Of the step of token i in the weights after token t: Λ_ti, zero for i > t, `[N, C, C]`. */
  readonly written: Tensor
}

interface MomentumShares {
  /** H_t, `[N, C, 1]`, and the products of η from i to t, `[N, C, C]`. */
  readonly kept: Tensor
  readonly written: Tensor
}

function sharesOf({ logDecay, logMomentum }: Surprises): {
  readonly weights: Shares
  readonly momentum: MomentumShares | null
} {
  const decays = products(logDecay)
  const kept = exp(cumsum(logDecay, 1))
  if (logMomentum === null) return { weights: { kept, pushed: null, written: decays }, momentum: null }
  const momenta = products(logMomentum)
  const momentumKept = exp(cumsum(logMomentum, 1))
  return {
    weights: { kept, pushed: matMul(decays, momentumKept), written: matMul(decays, momenta) },
    momentum: { kept: momentumKept, written: momenta },
  }
}

/**
 * Entry (t, i) is the product of the gates after i up to t, zero for i > t. The logarithms between i and t are summed by
 * themselves rather than as a difference of running sums, which would cancel behind a gate that is all but shut.
 */
function products(logGates: Tensor): Tensor {
  const C = logGates.shape[1] as number
  const lower = triangle(C, (t, j) => j <= t)
  const after = triangle(C, (j, i) => j > i)
  const spans = matMul(expandDims(lower, 0), mul(logGates, after)) // [N, C, C]
  return mul(exp(spans), lower)
}

/** 1 where `holds`, `[C, C]`. */
export function triangle(C: number, holds: (row: number, column: number) => boolean): Tensor {
  return tensor2d(
    Float32Array.from({ length: C * C }, (_, n) => (holds(Math.floor(n / C), n % C) ? 1 : 0)),
    [C, C],
  )
}

/** M_t(q_t) for every token of the chunk. */
function readAlong(
  net: MemoryNet,
  { q, step }: Surprises,
  gradient: InnerGradient,
  kept: readonly Kept[],
  written: Tensor,
): Tensor {
  const stepped = mul(written, transpose(step, [0, 2, 1])) // Λ_ti θ_i, [N, C, C]
  const parts = kept.map(([share, weights]) => ({ share, ...net.parts(weights) }))
  const gammas = parts.map(({ share, gamma }) => gamma && mul(share, expandDims(gamma, 1)))
  const gamma = gradient.gamma && sub(total(gammas), matMul(stepped, gradient.gamma)) // [N, C, K]
  const product = (z: Tensor, l: number): Tensor => {
    const before = total(parts.map(({ share, layers }) => mul(share, matMul(z, layers[l] as Tensor))))
    const matches = matMul(z, gradient.inputs[l] as Tensor, false, true) // [N, C, C]
    return sub(before, matMul(mul(matches, stepped), gradient.grads[l] as Tensor))
  }
  return net.through(q, gradient.inputs.length, product, gamma)
}

const total = (terms: readonly (Tensor | null)[]): Tensor => (terms as Tensor[]).reduce((sum, term) => add(sum, term))

/** `Σ_i c_i ∇ℓ_i` over the tokens of a chunk, c `[N, C, 1]`. */
export function summed({ inputs, grads, gamma }: InnerGradient, perToken: Tensor): FastWeights {
  const layers = inputs.map((a, l) => matMul(a, mul(grads[l] as Tensor, perToken), true, false))
  return gamma === null ? layers : [sum(mul(gamma, perToken), 1), ...layers]
}

/** What is left of `parts` after the last token, less the steps. */
function atEnd(parts: readonly Kept[], steps: FastWeights): FastWeights {
  const ends = parts.map(([share, weights]) => ({ share: lastToken(share), weights })) // [N, 1, 1]
  return steps.map((steps, i) => {
    const left = ends.map(({ share, weights }) => {
      const W = weights[i] as Tensor
      return mul(W, W.rank === 2 ? squeeze(share, [2]) : share)
    })
    return sub(total(left), steps)
  })
}

/** Row of the last token, `[N, 1, ...]`. */
function lastToken(x: Tensor): Tensor {
  const [N, C, W] = x.shape as [number, number, number]
  return slice(x, [0, C - 1, 0], [N, 1, W])
}
