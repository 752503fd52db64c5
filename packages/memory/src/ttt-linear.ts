import { joined } from '@mneme/core-tensor'
import {
  add,
  div,
  matMul,
  mean,
  mul,
  reshape,
  slice,
  sqrt,
  square,
  sub,
  sum,
  type Tensor,
  transpose,
  zeros,
} from '@tensorflow/tfjs-core'
import { triangle } from './surprise.js'

export interface TttLinearInputs {
  readonly q: Tensor
  readonly k: Tensor
  readonly v: Tensor
  /** Scale and shift of the inner norm, `[H, K]`. */
  readonly normWeight: Tensor
  readonly normBias: Tensor
  /** Step of each token, `[B, T, H, 1]`. */
  readonly step: Tensor
  /** W, `[B, H, K, K]`; zeros if absent. */
  readonly state?: Tensor
  /** b, `[B, H, 1, K]`; zeros if absent. */
  readonly stateBias?: Tensor
}

export interface TttLinearOptions {
  /** Tokens of a mini batch, whose gradients are all taken at the state before it. */
  readonly chunk: number
  readonly scale?: number
  readonly eps?: number
}

/** Outputs, and weights and bias after the last token. */
export interface TttLinearOutputs {
  readonly o: Tensor
  readonly state: Tensor
  readonly stateBias: Tensor
}

/**
 * A linear map that learns while it reads: each token is a step of gradient descent on how well its key gives its value,
 * in the dual form, which never makes the weights of a single token.
 *
 *   f(x) = x + LN(x W + b),   W_t = W − η_t Σ_{i ≤ t} k_iᵀ ∇_i,   ∇_i = ∂/∂(k_i W + b) ½ |f(k_i) − v_i|²,   o_t = f(q_t; W_t)
 *
 * with the residual of the output taken at q W + b. q, k and v `[B, T, H, K]`, q scaled by K^-½; within a mini batch all ∇
 * are taken at the weights before it, and of its steps the weights after it keep the last one's. Time O(T (C K + K²)) a
 * head, C tokens a mini batch; state K² + K. Source: Sun et al. 2024, arXiv:2407.04620, sections 2.4 and 2.5.
 */
export function tttLinear(inputs: TttLinearInputs, options: TttLinearOptions): TttLinearOutputs {
  const [B, T, H, K] = inputs.q.shape as [number, number, number, number]
  const { chunk, scale = K ** -0.5, eps = 1e-6 } = options
  const headsFirst = (x: Tensor): Tensor => transpose(x, [0, 2, 1, 3])
  const [q, k, v] = [mul(headsFirst(inputs.q), scale), headsFirst(inputs.k), headsFirst(inputs.v)]
  const steps = headsFirst(inputs.step)
  const [weight, bias] = [inputs.normWeight, inputs.normBias].map((x) => reshape(x, [1, H, 1, K])) as [Tensor, Tensor]
  let state = inputs.state ?? zeros([B, H, K, K])
  let stateBias = inputs.stateBias ?? zeros([B, H, 1, K])
  const outputs: Tensor[] = []
  for (let begin = 0; begin < T; begin += chunk) {
    const size = Math.min(chunk, T - begin)
    const piece = (x: Tensor): Tensor => slice(x, [0, 0, begin, 0], [B, H, size, -1])
    const [qs, ks, vs, eta] = [piece(q), piece(k), piece(v), piece(steps)]
    const inner = normalised(add(matMul(ks, state), stateBias), eps)
    const error = mul(weight, sub(add(mul(weight, inner.y), bias), sub(vs, ks)))
    const along = add(mean(error, -1, true), mul(inner.y, mean(mul(error, inner.y), -1, true)))
    const slope = div(sub(error, along), inner.deviation)
    const until = triangle(size, (t, i) => i <= t)
    const seen = mul(matMul(qs, ks, false, true), until)
    const learned = add(matMul(mul(eta, seen), slope), matMul(mul(eta, until), slope))
    const read = sub(add(matMul(qs, state), stateBias), learned)
    outputs.push(add(read, add(mul(normalised(read, eps).y, weight), bias)))
    const last = slice(eta, [0, 0, size - 1, 0], [B, H, 1, 1])
    state = sub(state, matMul(mul(last, ks), slope, true, false))
    stateBias = sub(stateBias, mul(last, sum(slope, 2, true)))
  }
  const o = joined(outputs, 2)
  return { o: headsFirst(o), state, stateBias }
}

/** Over the last axis: mean 0 and deviation 1, and what it was divided by. */
function normalised(x: Tensor, eps: number): { readonly y: Tensor; readonly deviation: Tensor } {
  const centred = sub(x, mean(x, -1, true))
  const deviation = sqrt(add(mean(square(centred), -1, true), eps))
  return { y: div(centred, deviation), deviation }
}
