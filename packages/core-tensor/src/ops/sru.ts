import { add, concat, mul, sigmoid, split, sub, type Tensor, zeros } from '@tensorflow/tfjs-core'
import { defineOp, differentiated, type OpSheet } from '../op.js'
import { type LoopGaps, tokenLoop } from './token-loop.js'

interface Inputs extends LoopGaps {
  readonly candidate: Tensor
  /** What the token gives to the forget gate, its bias included. */
  readonly forget: Tensor
  /** How each channel's gate sees the state of that channel. */
  readonly peephole: Tensor
  readonly c0?: Tensor
}

function reference({ candidate, forget, peephole, c0, ...gaps }: Inputs): { c: Tensor } {
  const [B, , E] = candidate.shape as [number, number, number]
  const [c] = tokenLoop(concat([candidate, forget], 2), [c0 ?? zeros([B, E])], gaps, (token, [before]) => {
    const last = before as Tensor
    const [u, k] = split(token, 2, 1) as [Tensor, Tensor]
    return [add(u, mul(sigmoid(add(k, mul(peephole, last))), sub(last, u)))]
  })
  return { c: c as Tensor }
}

/**
 * The cell of the simple recurrent unit whose forget gate sees the last state, channel by channel.
 *
 *   f_t = σ(k_t + v ⊙ c_{t-1}),   c_t = f_t ⊙ c_{t-1} + (1 − f_t) ⊙ u_t
 *
 * candidate u and forget k `[B, T, E]`, peephole v `[E]`; c0 `[B, E]`, zeros if absent; resets and mask `[B, T]`; returns
 * c `[B, T, E]`, at padding that of the token before. Not linear in c, so no scan: time O(B T E), token after token, each
 * channel by itself. State E. Gates are computed again in the backward pass.
 * Source: Lei et al. 2018, arXiv:1709.02755v5, section 3.1.
 */
export const sru = defineOp<Inputs, object, { readonly c: Tensor }>({
  name: 'sru',
  inputs: { candidate: 'B T E', forget: 'B T E', peephole: 'E', resets: '?B T', mask: '?B T', c0: '?B E' },
  outputs: { c: 'B T E' },
  attrs: {},
  reference,
  gradient: differentiated(reference),
})

/** What the laws, the self-test and the bench go by. */
export const sruSheet: OpSheet<Inputs, object> = {
  equation: 'f_t = \\sigma(k_t + v \\odot c_{t-1}), \\quad c_t = f_t \\odot c_{t-1} + (1 - f_t) \\odot u_t',
  draw: { resets: 'rare', mask: 'mask' },
  cost: ({ B = 1, T = 1, E = 1 }) => ({ flops: 12 * B * T * E, bytes: 12 * B * T * E, passes: 1 }),
  examples: [
    { dims: { B: 2, T: 1, E: 3 } },
    { dims: { B: 1, T: 2, E: 4 }, omit: ['resets', 'mask', 'c0'] },
    { dims: { B: 3, T: 9, E: 5 }, omit: ['mask'] },
    { dims: { B: 2, T: 33, E: 14 } },
    { dims: { B: 8, T: 256, E: 128 }, omit: ['resets', 'mask', 'c0'] },
  ],
}
