import {
  atTokens,
  constant,
  dims,
  draw,
  equalParts,
  gapsOf,
  gatedLinearAttention,
  Linear,
  type LinearOptions,
  type Mixed,
  type MixerTraits,
  Module,
  type Pass,
  parameter,
  RMSNorm,
  type Rng,
  type SequenceMixer,
  ShortConv,
  silu,
  tailBytes,
  timeStepBias,
} from '@mneme/core-tensor'
import {
  add,
  clipByValue,
  exp,
  expandDims,
  mul,
  neg,
  reshape,
  softplus,
  split,
  type Tensor,
  type Variable,
} from '@tensorflow/tfjs-core'

export interface SsdInputs {
  /** `[B, T, H, P]` */
  readonly x: Tensor
  /** Time steps Δ `[B, T, H]`, at least 0; a token of step 0 is stepped over. */
  readonly step: Tensor
  /** Rates of decay A `[H]`, below 0. */
  readonly A: Tensor
  /** `[B, T, G, N]`, where G divides H: head h has group floor(h / (H / G)). */
  readonly Bt: Tensor
  readonly C: Tensor
  /** What of x goes straight to the output, D `[H]`. */
  readonly skip: Tensor
  /** 1 where a token starts from an empty state, `[B, T]`. */
  readonly resets?: Tensor
  /** `[B, H, N, P]` */
  readonly state?: Tensor
}

/**
 * State space duality: linear attention with queries C, keys B, values Δ x and one decay a token and head.
 *
 *   S_t = exp(Δ_t A) S_{t-1} + B_t (Δ_t x_t)ᵀ,   y_t = S_tᵀ C_t + D x_t
 *
 * Returns y `[B, T, H, P]` and the state after T tokens. `chunk` changes cost, not results.
 * Source: Dao and Gu 2024, arXiv:2405.21060, sections 5 and 6.
 */
export function ssd(
  { x, step, A, Bt, C, skip, resets, state: before }: SsdInputs,
  chunk = 64,
): { readonly y: Tensor; readonly state: Tensor } {
  const { o, state } = gatedLinearAttention(
    {
      q: C,
      k: Bt,
      v: mul(x, expandDims(step, 3)),
      logDecay: expandDims(mul(step, A), 3),
      ...(resets && { resets }),
      ...(before && { state: before }),
    },
    { chunk, scale: 1 },
  )
  return { y: add(o, mul(x, expandDims(skip, 1))), state }
}

/** Sizes of a recurrence with one decay a head, behind a convolution. */
export interface SsdOptions {
  readonly dModel: number
  /** H heads of P channels each: E = H P channels of the recurrence. */
  readonly nHeads: number
  readonly dHead: number
  /** N, states of a channel. */
  readonly dState: number
  /** G, pairs of B and C; divides nHeads. */
  readonly nGroups: number
  readonly convWidth: number
  readonly convBias: boolean
  /** Tokens a block of matrix products; changes cost, not results. */
  readonly chunk: number
  /** Of the maps in and out; no bias if absent. */
  readonly projection?: LinearOptions
}

export interface Mamba2Options extends SsdOptions {
  /** Least and largest time step. */
  readonly stepLimit: readonly [low: number, high: number]
  readonly normEps: number
  /** Equal parts of the inner width that are normalised each by itself. */
  readonly normGroups: number
}

export type Mamba2State = {
  /** `[B, H, N, P]` */
  readonly h: Tensor
  readonly tail: Tensor
}

/**
 * Selective state space with one decay a head, which makes it linear attention: wide states at the price of matrix
 * products.
 *
 *   [z, x, B, C, δ]_t = W_in u_t,   [x, B, C] ← silu(conv([x, B, C])),   Δ_t = clamp(softplus(δ_t + b_Δ))
 *   S_t = exp(Δ_t A) S_{t-1} + B_t (Δ_t x_t)ᵀ,   y_t = W_out RMSNorm((S_tᵀ C_t + D x_t) ⊙ silu(z_t)),   A = −e^{logA}
 *
 * x, z `[B, T, H, P]`; B, C `[B, T, G, N]`; Δ `[B, T, H]`; A, D `[H]`. State S `[B, H, N, P]` and a convolution tail
 * `[B, W − 1, H P + 2 G N]`, constant in T. Time O(T N P) a head, in chunks of matrix products.
 * Paper: Dao and Gu 2024, arXiv:2405.21060, sections 5 to 7.
 */
export class Mamba2 extends Module implements SequenceMixer<Mamba2State> {
  readonly traits: MixerTraits = { causal: true, padding: true, constantState: true }
  /** Its output is z, x, B, C, then a time step a head. */
  readonly inProj: Linear
  readonly conv: ShortConv
  readonly stepBias: Variable
  /** A_log of the published checkpoints. */
  readonly logA: Variable
  /** D of the paper. */
  readonly skip: Variable
  readonly norm: RMSNorm
  readonly outProj: Linear
  private readonly inner: number

  constructor(
    private readonly options: Mamba2Options,
    rng: Rng,
  ) {
    super()
    const { dModel, nHeads, dHead, dState, nGroups, projection = { bias: false } } = options
    equalParts('Mamba2 nGroups', nGroups, 'nHeads', nHeads)
    this.inner = nHeads * dHead
    const convolved = this.inner + 2 * nGroups * dState
    this.inProj = new Linear(dModel, this.inner + convolved + nHeads, rng, projection)
    this.conv = new ShortConv(convolved, options.convWidth, rng, { bias: options.convBias })
    this.stepBias = parameter(timeStepBias(rng, [nHeads]))
    this.logA = parameter(draw([nHeads], () => Math.log(1 + 15 * rng.uniform())))
    this.skip = parameter(constant([nHeads], 1))
    this.norm = new RMSNorm(this.inner, options.normEps, options.normGroups)
    this.outProj = new Linear(this.inner, dModel, rng, projection)
  }

  initialState(batch: number): Mamba2State {
    const { nHeads, dHead, dState } = this.options
    return { h: constant([batch, nHeads, dState, dHead], 0), tail: this.conv.initialState(batch) }
  }

  forward(x: Tensor, state?: Mamba2State, pass?: Pass): Mixed<Mamba2State> {
    const { dModel, nHeads: H, dHead: P, dState: N, nGroups: G, chunk } = this.options
    const { B, T } = dims('Mamba2.forward x', x, 'B T D', { D: dModel })
    const before = state ?? this.initialState(B)
    const gaps = gapsOf('Mamba2.forward', pass, B, T)
    const parts = split(this.inProj.forward(x), [this.inner, this.conv.channels, H], 2)
    const [z, xBC, delta] = parts as [Tensor, Tensor, Tensor]
    const { y: convolved, tail } = this.conv.forward(xBC, before.tail, pass)
    const [u, Bt, C] = split(silu(convolved), [this.inner, G * N, G * N], 2) as [Tensor, Tensor, Tensor]
    const step = atTokens(this.limited(softplus(add(delta, this.stepBias))), gaps)
    const { y, state: h } = ssd(
      {
        x: reshape(u, [B, T, H, P]),
        step,
        A: neg(exp(this.logA)),
        Bt: reshape(Bt, [B, T, G, N]),
        C: reshape(C, [B, T, G, N]),
        skip: this.skip,
        ...(gaps && { resets: gaps.starts }),
        state: before.h,
      },
      chunk,
    )
    pass?.record?.record('step', step)
    pass?.record?.record('state', h)
    const gated = mul(reshape(y, [B, T, this.inner]), silu(z))
    return { y: this.outProj.forward(this.norm.forward(gated)), state: { h, tail } }
  }

  private limited(step: Tensor): Tensor {
    const [low, high] = this.options.stepLimit
    // tfjs cannot clip to infinity on every backend, and a step is never below 0
    return low <= 0 && high === Number.POSITIVE_INFINITY ? step : clipByValue(step, low, Math.min(high, 1e30))
  }

  stateBytes(): number {
    const { nHeads, dHead, dState } = this.options
    return 4 * nHeads * dHead * dState + tailBytes(this.conv)
  }
}
