import { add, matMul, mul, sub, type Tensor, tanh, zeros } from '@tensorflow/tfjs-core'
import { defineOp, differentiated, type OpSheet } from '../op.js'
import { type LoopGaps, tokenLoop } from './token-loop.js'

interface Inputs extends LoopGaps {
  /** What the token gives, its bias included. */
  readonly projected: Tensor
  /** What each unit gets from all units: `[E, E]`, a row for each that gets. */
  readonly weight: Tensor
  readonly h0?: Tensor
}

interface Attrs {
  /** Part of the state that is new after a token, in (0, 1]. */
  readonly leak: number
}

function reference({ projected, weight, h0, ...gaps }: Inputs, { leak }: Attrs): { h: Tensor } {
  const start = h0 ?? zeros([projected.shape[0] as number, weight.shape[0] as number])
  const [h] = tokenLoop(projected, [start], gaps, (token, [before]) => {
    const last = before as Tensor
    const seen = tanh(add(token, matMul(last as never, weight as never, false, true)))
    return [add(last, mul(leak, sub(seen, last)))]
  })
  return { h: h as Tensor }
}

/**
 * A recurrent layer of leaky units: what echo-state networks run on, and with a leak of 1 the plain recurrent network.
 *
 *   h_t = (1 − a) h_{t-1} + a tanh(x_t + U h_{t-1})
 *
 * projected x `[B, T, E]`, weight U `[E, E]`, leak a; h0 `[B, E]`, zeros if absent; resets and mask `[B, T]`; returns h
 * `[B, T, E]`, at padding that of the token before. Sequential: time O(B T E²), state E.
 * Source: Jaeger et al. 2007, Optimization and applications of echo state networks with leaky-integrator neurons, section 2.
 */
export const leakyRnn = defineOp<Inputs, Attrs, { readonly h: Tensor }>({
  name: 'leakyRnn',
  inputs: { projected: 'B T E', weight: 'E E', resets: '?B T', mask: '?B T', h0: '?B E' },
  outputs: { h: 'B T E' },
  attrs: { leak: 1 },
  reference,
  gradient: differentiated(reference),
})

/** What the laws, the self-test and the bench go by. */
export const leakyRnnSheet: OpSheet<Inputs, Attrs> = {
  equation: 'h_t = (1 - a) h_{t-1} + a \\tanh(x_t + U h_{t-1})',
  draw: { resets: 'rare', mask: 'mask' },
  cost: ({ B = 1, T = 1, E = 1 }) => ({ flops: 2 * B * T * E * E, bytes: 8 * B * T * E, passes: T }),
  examples: [
    { dims: { B: 2, T: 1, E: 3 } },
    { dims: { B: 1, T: 2, E: 4 }, attrs: { leak: 0.3 }, omit: ['resets', 'mask', 'h0'] },
    { dims: { B: 3, T: 9, E: 5 }, attrs: { leak: 0.5 }, omit: ['mask'] },
    { dims: { B: 2, T: 33, E: 14 }, attrs: { leak: 0.9 } },
    { dims: { B: 8, T: 128, E: 128 }, attrs: { leak: 0.3 }, omit: ['resets', 'mask', 'h0'] },
  ],
}
