import {
  add,
  cast,
  div,
  equal,
  exp,
  matMul,
  maximum,
  mul,
  neg,
  reshape,
  sigmoid,
  softplus,
  split,
  sub,
  type Tensor,
  tanh,
  transpose,
  zeros,
} from '@tensorflow/tfjs-core'
import { defineOp, differentiated, type OpSheet } from '../op.js'
import { type LoopGaps, tokenLoop } from './token-loop.js'

interface Inputs extends LoopGaps {
  /** What the token gives to i, f, z and o, in that order: P = 4 E, with E = H K. */
  readonly projected: Tensor
  /** What a head's last output gives to its own i, f, z and o: `[H, 4K, K]`. */
  readonly weight: Tensor
  readonly bias?: Tensor
  readonly h0?: Tensor
  readonly c0?: Tensor
  readonly n0?: Tensor
  readonly m0?: Tensor
}

interface Outputs {
  readonly h: Tensor
  readonly c: Tensor
  readonly n: Tensor
  readonly m: Tensor
}

/** Far below the stabiliser of anything written. */
const EMPTY = -1e30

function reference({ projected, weight, bias, h0, c0, n0, m0, ...gaps }: Inputs): Outputs {
  const B = projected.shape[0] as number
  const [H, , K] = weight.shape as [number, number, number]
  const empty = zeros([B, H * K])
  const state = [h0 ?? empty, c0 ?? empty, n0 ?? empty, m0 ?? empty]
  const [h, c, n, m] = tokenLoop(projected, state, gaps, (token, before) => {
    const [last, cell, norm, max] = before as [Tensor, Tensor, Tensor, Tensor]
    const heads = transpose(reshape(last, [B, H, K]), [1, 0, 2])
    // [H, B, 4K] to gates before heads
    const product = reshape(matMul(heads, weight, false, true), [H, B, 4, K])
    const given = add(token, reshape(transpose(product, [1, 2, 0, 3]), [B, 4 * H * K]))
    const [i, f, z, o] = split(bias ? add(given, bias) : given, 4, 1) as [Tensor, Tensor, Tensor, Tensor]
    // nothing has been written where n = 0, whatever m stands there
    const decayed = add(add(max, neg(softplus(neg(f)))), mul(cast(equal(norm, 0), 'float32'), EMPTY))
    const stabiliser = maximum(i, decayed)
    const [written, kept] = [exp(sub(i, stabiliser)), exp(sub(decayed, stabiliser))]
    const c = add(mul(kept, cell), mul(written, tanh(z)))
    const n = add(mul(kept, norm), written)
    return [mul(sigmoid(o), div(c, n)), c, n, stabiliser]
  }) as [Tensor, Tensor, Tensor, Tensor]
  return { h, c, n, m }
}

/**
 * sLSTM, from the projected input on: a scalar memory with an exponential input gate, whose heads look at their own last
 * output.
 *
 *   i, f, z, o = x + R h_{t-1} + b,   m_t = max(i, m_{t-1} + ln σ(f))
 *   c_t = e^{m_{t-1} + ln σ(f) − m_t} c_{t-1} + e^{i − m_t} tanh(z),   n_t likewise with 1 for tanh(z)
 *   h_t = σ(o) ⊙ c_t / n_t
 *
 * projected x and bias b `[.., 4E]` in the order i, f, z, o, each `[H, K]`; weight R `[H, 4K, K]`, rows in the same order;
 * h0, c0, n0 and m0 `[B, E]`, zeros if absent; resets and mask `[B, T]`; returns all four `[B, T, E]`, at padding those
 * of the token before. Where n = 0 nothing stands in the memory and m_t = i. No exponent is positive. Sequential: time
 * O(B T E K), state 4 E.
 * Source: Beck et al. 2024, arXiv:2405.04517, section 2.2 and appendix A.2.
 */
export const slstm = defineOp<Inputs, object, Outputs>({
  name: 'slstm',
  inputs: {
    projected: 'B T P',
    weight: 'H G K',
    bias: '?P',
    resets: '?B T',
    mask: '?B T',
    h0: '?B E',
    c0: '?B E',
    n0: '?B E',
    m0: '?B E',
  },
  outputs: { h: 'B T E', c: 'B T E', n: 'B T E', m: 'B T E' },
  attrs: {},
  reference,
  gradient: differentiated(reference),
})

/** What the laws, the self-test and the bench go by. */
export const slstmSheet: OpSheet<Inputs, object> = {
  equation:
    'c_t = e^{m_{t-1} + \\ln \\sigma(f) - m_t} c_{t-1} + e^{i - m_t} \\tanh(z), \\quad h_t = \\sigma(o) \\odot c_t / n_t',
  draw: { resets: 'rare', mask: 'mask', n0: 'positive' },
  cost: ({ B = 1, T = 1, H = 1, K = 1 }) => ({
    flops: 8 * B * T * H * K * K,
    bytes: 32 * B * T * H * K,
    passes: T,
  }),
  examples: [
    { dims: { B: 2, T: 1, H: 1, K: 3, G: 12, P: 12, E: 3 } },
    { dims: { B: 1, T: 2, H: 2, K: 2, G: 8, P: 16, E: 4 }, omit: ['resets', 'mask'] },
    { dims: { B: 2, T: 9, H: 3, K: 5, G: 20, P: 60, E: 15 }, omit: ['bias', 'mask'] },
    { dims: { B: 2, T: 17, H: 2, K: 4, G: 16, P: 32, E: 8 }, omit: ['h0', 'c0', 'n0', 'm0'] },
    { dims: { B: 8, T: 128, H: 4, K: 32, G: 128, P: 512, E: 128 }, omit: ['resets', 'mask', 'h0', 'c0', 'n0', 'm0'] },
  ],
}
