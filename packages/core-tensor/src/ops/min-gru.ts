import { add, minimum, mul, neg, relu, sigmoid, split, type Tensor } from '@tensorflow/tfjs-core'
import { defineOp, differentiated, type OpSheet } from '../op.js'
import { linearScan } from './linear-scan.js'

interface Inputs {
  /** Candidate and gate side by side: P = 2 E. */
  readonly projected: Tensor
  readonly h0?: Tensor
}

/** `x + 0.5` for x >= 0, `sigmoid(x)` below: positive and continuous, so that the scan may also run on logarithms. */
export function positive(x: Tensor): Tensor {
  return add(relu(x), sigmoid(minimum(x, 0)))
}

function reference({ projected, h0 }: Inputs): { h: Tensor } {
  const [hidden, gate] = split(projected, 2, 2) as [Tensor, Tensor]
  const b = mul(sigmoid(gate), positive(hidden))
  return { h: linearScan({ a: sigmoid(neg(gate)), b, ...(h0 && { h0 }) }).h }
}

/**
 * minGRU from its projected input to its states, in one pass: `h_t = (1 - z_t) h_{t-1} + z_t g(c_t)`, z = σ(gate).
 * projected `[B, T, 2E]`, candidate c first; h0 `[B, E]`, zeros if absent; h `[B, T, E]`. Time O(B T E). Gates are
 * computed again in the backward pass instead of being kept.
 * Source: Feng et al. 2024, arXiv:2410.01201, section 3.1 and appendix B.
 */
export const minGru = defineOp<Inputs, object, { readonly h: Tensor }>({
  name: 'minGru',
  inputs: { projected: 'B T P', h0: '?B E' },
  outputs: { h: 'B T E' },
  attrs: {},
  reference,
  gradient: differentiated(reference),
})

/** What the laws, the self-test and the bench go by. */
export const minGruSheet: OpSheet<Inputs, object> = {
  equation: 'h_t = (1 - z_t) \\odot h_{t-1} + z_t \\odot g(c_t), \\quad z_t = \\sigma(k_t)',
  cost: ({ B = 1, T = 1, E = 1 }) => ({ flops: 30 * B * T * E, bytes: 12 * B * T * E, passes: 1 }),
  examples: [
    { dims: { B: 2, T: 1, P: 6, E: 3 } },
    { dims: { B: 1, T: 2, P: 8, E: 4 }, omit: ['h0'] },
    { dims: { B: 2, T: 63, P: 10, E: 5 } },
    { dims: { B: 1, T: 65, P: 66, E: 33 }, omit: ['h0'] },
    { dims: { B: 8, T: 256, P: 256, E: 128 } },
  ],
}
