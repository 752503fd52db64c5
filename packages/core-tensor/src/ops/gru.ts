import { add, matMul, mul, sigmoid, split, sub, type Tensor, tanh, zeros } from '@tensorflow/tfjs-core'
import { defineOp, differentiated, type OpSheet } from '../op.js'
import { type LoopGaps, tokenLoop } from './token-loop.js'

interface Inputs extends LoopGaps {
  /** What the token gives to r, z and n, in that order: P = 3 E. */
  readonly projected: Tensor
  /** What the last state gives to r, z and n: `[P, E]`. */
  readonly weight: Tensor
  readonly bias?: Tensor
  readonly h0?: Tensor
}

function reference({ projected, weight, bias, h0, ...gaps }: Inputs): { h: Tensor } {
  const start = h0 ?? zeros([projected.shape[0] as number, weight.shape[1] as number])
  const [h] = tokenLoop(projected, [start], gaps, (token, [before]) => {
    const last = before as Tensor
    const product = matMul(last as never, weight as never, false, true) as Tensor
    const recurrent = split(bias ? add(product, bias) : product, 3, 1) as [Tensor, Tensor, Tensor]
    const given = split(token, 3, 1) as [Tensor, Tensor, Tensor]
    const r = sigmoid(add(given[0], recurrent[0]))
    const z = sigmoid(add(given[1], recurrent[1]))
    const n = tanh(add(given[2], mul(r, recurrent[2])))
    return [add(n, mul(z, sub(last, n)))]
  })
  return { h: h as Tensor }
}

/**
 * The gated recurrent unit, from the projected input on; the reset gate acts on the recurrent product, as in PyTorch.
 *
 *   r, z = σ(x^r + U_r h_{t-1} + b_r), σ(x^z + U_z h_{t-1} + b_z)
 *   n = tanh(x^n + r ⊙ (U_n h_{t-1} + b_n)),   h_t = (1 − z) ⊙ n + z ⊙ h_{t-1}
 *
 * projected x `[B, T, 3E]`, weight U `[3E, E]` and bias b `[3E]` in the order r, z, n; h0 `[B, E]`, zeros if absent;
 * resets and mask `[B, T]`; returns h `[B, T, E]`, at padding that of the token before. Sequential: time O(B T E²),
 * state E. Gates are computed again in the backward pass, by one product over all tokens.
 * Source: Cho et al. 2014, arXiv:1406.1078, section 2.3; the place of the reset gate as in Chung et al. 2014,
 * arXiv:1412.3555, equation 8 and PyTorch.
 */
export const gru = defineOp<Inputs, object, { readonly h: Tensor }>({
  name: 'gru',
  inputs: { projected: 'B T P', weight: 'P E', bias: '?P', resets: '?B T', mask: '?B T', h0: '?B E' },
  outputs: { h: 'B T E' },
  attrs: {},
  reference,
  gradient: differentiated(reference),
})

/** What the laws, the self-test and the bench go by. */
export const gruSheet: OpSheet<Inputs, object> = {
  equation:
    'n_t = \\tanh(x^n_t + r_t \\odot (U_n h_{t-1} + b_n)), \\quad h_t = (1 - z_t) \\odot n_t + z_t \\odot h_{t-1}',
  draw: { resets: 'rare', mask: 'mask' },
  cost: ({ B = 1, T = 1, E = 1 }) => ({ flops: 6 * B * T * E * E, bytes: 16 * B * T * E, passes: T }),
  examples: [
    { dims: { B: 2, T: 1, P: 9, E: 3 } },
    { dims: { B: 1, T: 2, P: 12, E: 4 }, omit: ['resets', 'mask', 'h0'] },
    { dims: { B: 2, T: 9, P: 15, E: 5 }, omit: ['bias', 'mask'] },
    { dims: { B: 18, T: 5, P: 3, E: 1 }, omit: ['h0'] },
    { dims: { B: 3, T: 33, P: 42, E: 14 } },
    { dims: { B: 8, T: 128, P: 384, E: 128 }, omit: ['resets', 'mask', 'h0'] },
  ],
}
