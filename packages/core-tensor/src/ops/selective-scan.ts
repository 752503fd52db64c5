import {
  add,
  cast,
  exp,
  expandDims,
  lessEqual,
  mul,
  reshape,
  sigmoid,
  softplus,
  sum,
  type Tensor,
} from '@tensorflow/tfjs-core'
import { defineOp, differentiated, type OpSheet } from '../op.js'
import { tokenAt } from './along-time.js'
import { linearScan } from './linear-scan.js'

interface Inputs {
  readonly u: Tensor
  /** Time step before deltaBias and softplus. */
  readonly delta: Tensor
  /** Logarithm of the decay over one unit of time, at most 0. */
  readonly A: Tensor
  readonly Bt: Tensor
  readonly C: Tensor
  /** What of u goes straight to the output; the matrix D of the paper. */
  readonly skip?: Tensor
  readonly deltaBias?: Tensor
  /** The output is multiplied by silu(z). */
  readonly z?: Tensor
  /** 1 where a token starts from an empty state. */
  readonly resets?: Tensor
  readonly state?: Tensor
}

interface Outputs {
  readonly y: Tensor
  readonly state: Tensor
}

function reference({ u, delta, A, Bt, C, skip, deltaBias, z, resets, state }: Inputs): Outputs {
  const [B, T, D] = u.shape as [number, number, number]
  const N = A.shape[1] as number
  const flat = (x: Tensor): Tensor => reshape(x, [B, T, D * N])
  const dt = softplus(deltaBias ? add(delta, deltaBias) : delta)
  const decay = exp(mul(expandDims(dt, 3), A)) // [B, T, D, N]
  const kept = resets ? mul(decay, reshape(cast(lessEqual(resets, 0.5), 'float32'), [B, T, 1, 1])) : decay
  const written = mul(expandDims(mul(dt, u), 3), expandDims(Bt, 2))
  const { h } = linearScan({ a: flat(kept), b: flat(written), ...(state && { h0: reshape(state, [B, D * N]) }) })
  const read = sum(mul(reshape(h, [B, T, D, N]), expandDims(C, 2)), 3)
  const skipped = skip ? add(read, mul(u, skip)) : read
  return {
    y: z ? mul(skipped, mul(z, sigmoid(z))) : skipped,
    state: reshape(tokenAt(h, T - 1), [B, D, N]),
  }
}

/**
 * Selective state space: a diagonal linear recurrence in N states a channel, whose step, input and output matrices come
 * with every token.
 *
 *   Δ_t = softplus(delta_t + deltaBias);   x_t = exp(Δ_t A) x_{t-1} + Δ_t B_t u_t;   y_t = (C_t · x_t + skip u_t) silu(z_t)
 *
 * u, delta, z `[B, T, D]`; A `[D, N]`, at most 0; Bt, C `[B, T, N]`; skip, deltaBias `[D]`; resets `[B, T]`; state
 * `[B, D, N]`; returns y `[B, T, D]` and the state after T tokens. Without z, skip or deltaBias their factor or term is
 * left out. A token of delta = -1e9 is stepped over: its Δ is 0. Time O(B T D N), state O(D N); a kernel keeps no
 * `[B, T, D, N]`, the reference does.
 * Source: Gu and Dao 2023, arXiv:2312.00752, sections 3.2 and 3.3; the step of B is Euler's, as the authors' code has it.
 */
export const selectiveScan = defineOp<Inputs, object, Outputs>({
  name: 'selectiveScan',
  inputs: {
    u: 'B T D',
    delta: 'B T D',
    A: 'D N',
    Bt: 'B T N',
    C: 'B T N',
    skip: '?D',
    deltaBias: '?D',
    z: '?B T D',
    resets: '?B T',
    state: '?B D N',
  },
  outputs: { y: 'B T D', state: 'B D N' },
  mixes: { values: 'u', output: 'y', carried: ['state'] },
  keepOutputs: false,
  attrs: {},
  reference,
  gradient: differentiated(reference),
})

/** What the laws, the self-test and the bench go by. */
export const selectiveScanSheet: OpSheet<Inputs, object> = {
  equation:
    'x_t = e^{\\Delta_t A} x_{t-1} + \\Delta_t B_t u_t, \\quad y_t = (C_t^\\top x_t + D u_t) \\odot \\mathrm{silu}(z_t), \\quad \\Delta_t = \\mathrm{softplus}(\\delta_t + b)',
  draw: { A: 'logDecay', resets: 'rare' },
  cost: ({ B = 1, T = 1, D = 1, N = 1 }) => ({
    flops: 7 * B * T * D * N + 10 * B * T * D,
    bytes: 4 * B * T * (4 * D + 2 * N),
    passes: 1,
  }),
  examples: [
    { dims: { B: 2, T: 1, D: 3, N: 2 } },
    { dims: { B: 1, T: 2, D: 4, N: 1 }, omit: ['z', 'skip', 'deltaBias', 'resets', 'state'] },
    { dims: { B: 2, T: 9, D: 3, N: 5 }, omit: ['z'] },
    { dims: { B: 1, T: 63, D: 2, N: 4 }, omit: ['resets', 'deltaBias'] },
    { dims: { B: 2, T: 64, D: 5, N: 3 }, omit: ['resets', 'state'] },
    { dims: { B: 1, T: 65, D: 6, N: 16 }, omit: ['skip'] },
    { dims: { B: 1, T: 1000, D: 2, N: 2 }, omit: ['deltaBias', 'resets'] },
    { dims: { B: 4, T: 512, D: 256, N: 16 }, omit: ['resets'] },
  ],
}
