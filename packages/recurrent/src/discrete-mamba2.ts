import {
  atTokens,
  constant,
  dims,
  equalParts,
  gapsOf,
  gatedLinearAttention,
  Linear,
  logSigmoid,
  type Mixed,
  type MixerTraits,
  Module,
  type Pass,
  parameter,
  type Rng,
  type SequenceMixer,
  ShortConv,
  silu,
  tailBytes,
} from '@mneme/core-tensor'
import { add, expandDims, mul, neg, reshape, split, type Tensor, type Variable } from '@tensorflow/tfjs-core'
import type { SsdOptions } from './mamba2.js'

/** Without biases in its maps the gate has one of its own. */
export interface DiscreteMamba2Options extends SsdOptions {
  /** What follows the convolution: nothing, or SiLU. */
  readonly activation: 'identity' | 'silu'
}

export type DiscreteMamba2State = {
  /** `[B, H, N, P]` */
  readonly memory: Tensor
  readonly tail: Tensor
}

/**
 * Mamba-2 without a time step: the token decides on the decay alone, and is written as it is, which is what a layer of
 * attention can be distilled into.
 *
 *   [x, B, C, z, a]_t = W_in u_t,   [x, B, C] ← conv([x, B, C]),   S_t = σ(−a_t) S_{t-1} + B_t x_tᵀ
 *   y_t = W_out((S_tᵀ C_t + D x_t) ⊙ silu(z_t + b_z))
 *
 * x, z `[B, T, H, P]`; B, C `[B, T, G, N]`; a `[B, T, H]`; D `[H]`. No norm stands before the map out. State S
 * `[B, H, N, P]` and a convolution tail `[B, W − 1, H P + 2 G N]`, constant in T. Time O(T N P) a head.
 * Paper: Bick et al. 2025, arXiv:2502.14458, section 2; Bick et al. 2024, arXiv:2408.10189, section 3.
 */
export class DiscreteMamba2 extends Module implements SequenceMixer<DiscreteMamba2State> {
  readonly traits: MixerTraits = { causal: true, padding: true, constantState: true }
  /** Its output is x, B, C, then z, then a value a head that decides on the decay. */
  readonly inProj: Linear
  readonly conv: ShortConv
  readonly gateBias: Variable | null
  /** D of the paper. */
  readonly skip: Variable
  readonly outProj: Linear
  private readonly inner: number

  constructor(
    private readonly options: DiscreteMamba2Options,
    rng: Rng,
  ) {
    super()
    const { dModel, nHeads, dHead, dState, nGroups, convWidth, convBias, projection = { bias: false } } = options
    equalParts('DiscreteMamba2 nGroups', nGroups, 'nHeads', nHeads)
    this.inner = nHeads * dHead
    const convolved = this.inner + 2 * nGroups * dState
    this.inProj = new Linear(dModel, convolved + this.inner + nHeads, rng, projection)
    this.conv = new ShortConv(convolved, convWidth, rng, { bias: convBias })
    this.gateBias = this.inProj.bias === null ? parameter(constant([this.inner], 0)) : null
    this.skip = parameter(constant([nHeads], 1))
    this.outProj = new Linear(this.inner, dModel, rng, projection)
  }

  initialState(batch: number): DiscreteMamba2State {
    const { nHeads, dHead, dState } = this.options
    return { memory: constant([batch, nHeads, dState, dHead], 0), tail: this.conv.initialState(batch) }
  }

  forward(u: Tensor, state?: DiscreteMamba2State, pass?: Pass): Mixed<DiscreteMamba2State> {
    const { dModel, nHeads: H, dHead: P, dState: N, nGroups: G, activation, chunk } = this.options
    const { B, T } = dims('DiscreteMamba2.forward u', u, 'B T D', { D: dModel })
    const before = state ?? this.initialState(B)
    const gaps = gapsOf('DiscreteMamba2.forward', pass, B, T)
    const [xBC, z, a] = split(this.inProj.forward(u), [this.conv.channels, this.inner, H], 2) as [
      Tensor,
      Tensor,
      Tensor,
    ]
    const { y: convolved, tail } = this.conv.forward(xBC, before.tail, pass)
    const seen = activation === 'silu' ? silu(convolved) : convolved
    const [x, Bt, C] = split(seen, [this.inner, G * N, G * N], 2) as [Tensor, Tensor, Tensor]
    const heads = reshape(x, [B, T, H, P])
    // σ(−a) is exp(−softplus a)
    const logDecay = expandDims(logSigmoid(neg(a)), 3)
    const { o, state: memory } = gatedLinearAttention(
      {
        q: reshape(C, [B, T, G, N]),
        k: atTokens(reshape(Bt, [B, T, G, N]), gaps),
        v: heads,
        logDecay: atTokens(logDecay, gaps),
        ...(gaps && { resets: gaps.starts }),
        state: before.memory,
      },
      { chunk, scale: 1 },
    )
    pass?.record?.record('logDecay', logDecay)
    pass?.record?.record('memory', memory)
    const read = reshape(add(o, mul(heads, reshape(this.skip, [H, 1]))), [B, T, this.inner])
    const gate = silu(this.gateBias ? add(z, this.gateBias) : z)
    return { y: this.outProj.forward(mul(read, gate)), state: { memory, tail } }
  }

  stateBytes(): number {
    const { nHeads, dHead, dState } = this.options
    return 4 * nHeads * dHead * dState + tailBytes(this.conv)
  }
}
