import { stopGradient } from '@mneme/core-tensor'
import { abs, clipByValue, div, matMul, mul, sum, type Tensor, tensor, transpose } from '@tensorflow/tfjs-core'

/** Bounds of what a row of scores is divided by. */
const LEAST = 1
const MOST = 5e4

/**
 * Retention as a product of matrices, each row of scores divided twice: by the root of the sum of its decays, and then by
 * the sum of what is left of it, taken as absolute values, bounded, and not differentiated.
 *
 *   P_nm = γ^(n-m) q_n·k_m / √(K Σ_l γ^(n-l)),   o_n = Σ_m P_nm v_m / clip(Σ_m |P_nm|, 1, 50000)
 *
 * q `[B, T, H, K]`, k `[B, S, H, K]`, v `[B, S, H, V]`, o `[B, T, H, V]`; the last query stands at the last key, and the
 * first key at the first token. Time O(T S (K + V)) a head, memory O(T S).
 * Source: Sun et al. 2023, arXiv:2307.08621, section 2.2, "score normalization", and the authors' code.
 */
export function retentionByRows(q: Tensor, k: Tensor, v: Tensor, logDecay: readonly number[]): Tensor {
  const byHead = (x: Tensor): Tensor => transpose(x, [0, 2, 1, 3])
  const [T, S] = [q.shape[1] as number, k.shape[1] as number]
  const scores = mul(matMul(byHead(q), byHead(k), false, true), (q.shape[3] as number) ** -0.5)
  const faded = mul(scores, decayRows(T, S, logDecay))
  const size = clipByValue(sum(abs(stopGradient(faded)), 3, true), LEAST, MOST)
  return byHead(matMul(div(faded, size), byHead(v)))
}

/** γ^(n-m), each row divided by the root of its sum, `[1, H, T, S]`; zero ahead of the query. */
function decayRows(T: number, S: number, logDecay: readonly number[]): Tensor {
  const values = new Float32Array(logDecay.length * T * S)
  for (const [h, log] of logDecay.entries()) {
    for (let t = 0; t < T; t++) {
      const n = S - T + t
      const root = Math.sqrt(Math.expm1((n + 1) * log) / Math.expm1(log))
      for (let m = 0; m <= n; m++) values[(h * T + t) * S + m] = Math.exp((n - m) * log) / root
    }
  }
  return tensor(values, [1, logDecay.length, T, S])
}
