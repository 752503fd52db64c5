import { add, matMul, mul, sigmoid, split, type Tensor, tanh, zeros } from '@tensorflow/tfjs-core'
import { defineOp, differentiated, type OpSheet } from '../op.js'
import { type LoopGaps, tokenLoop } from './token-loop.js'

interface Inputs extends LoopGaps {
  /** What the token gives to i, f, g and o, in that order: P = 4 E. */
  readonly projected: Tensor
  /** What the last output gives to i, f, g and o: `[P, E]`. */
  readonly weight: Tensor
  readonly bias?: Tensor
  readonly h0?: Tensor
  readonly c0?: Tensor
}

interface Outputs {
  readonly h: Tensor
  readonly c: Tensor
}

function reference({ projected, weight, bias, h0, c0, ...gaps }: Inputs): Outputs {
  const empty = zeros([projected.shape[0] as number, weight.shape[1] as number])
  const [h, c] = tokenLoop(projected, [h0 ?? empty, c0 ?? empty], gaps, (token, [last, cell]) => {
    const product = add(token, matMul(last as never, weight as never, false, true))
    const [i, f, g, o] = split(bias ? add(product, bias) : product, 4, 1) as [Tensor, Tensor, Tensor, Tensor]
    const next = add(mul(sigmoid(f), cell as Tensor), mul(sigmoid(i), tanh(g)))
    return [mul(sigmoid(o), tanh(next)), next]
  }) as [Tensor, Tensor]
  return { h, c }
}

/**
 * Long short-term memory, from the projected input on.
 *
 *   i, f, o = σ(x + U h_{t-1} + b),   g = tanh(x^g + U_g h_{t-1} + b_g)
 *   c_t = f ⊙ c_{t-1} + i ⊙ g,   h_t = o ⊙ tanh(c_t)
 *
 * projected x `[B, T, 4E]`, weight U `[4E, E]` and bias b `[4E]` in the order i, f, g, o; h0 and c0 `[B, E]`, zeros if
 * absent; resets and mask `[B, T]`; returns h and c `[B, T, E]`, at padding those of the token before. Sequential: time
 * O(B T E²), state 2 E. Gates are computed again in the backward pass, by one product over all tokens.
 * Source: Hochreiter and Schmidhuber 1997; the forget gate of Gers et al. 2000, section 3.
 */
export const lstm = defineOp<Inputs, object, Outputs>({
  name: 'lstm',
  inputs: { projected: 'B T P', weight: 'P E', bias: '?P', resets: '?B T', mask: '?B T', h0: '?B E', c0: '?B E' },
  outputs: { h: 'B T E', c: 'B T E' },
  attrs: {},
  reference,
  gradient: differentiated(reference),
})

/** What the laws, the self-test and the bench go by. */
export const lstmSheet: OpSheet<Inputs, object> = {
  equation: 'c_t = f_t \\odot c_{t-1} + i_t \\odot g_t, \\quad h_t = o_t \\odot \\tanh(c_t)',
  draw: { resets: 'rare', mask: 'mask' },
  cost: ({ B = 1, T = 1, E = 1 }) => ({ flops: 8 * B * T * E * E, bytes: 24 * B * T * E, passes: T }),
  examples: [
    { dims: { B: 2, T: 1, P: 12, E: 3 } },
    { dims: { B: 1, T: 2, P: 16, E: 4 }, omit: ['resets', 'mask', 'h0', 'c0'] },
    { dims: { B: 2, T: 9, P: 20, E: 5 }, omit: ['bias', 'mask'] },
    { dims: { B: 18, T: 5, P: 4, E: 1 }, omit: ['h0'] },
    { dims: { B: 3, T: 33, P: 56, E: 14 } },
    { dims: { B: 8, T: 128, P: 512, E: 128 }, omit: ['resets', 'mask', 'h0', 'c0'] },
  ],
}
