import {
  atTokens,
  constant,
  dims,
  dplrDeltaRule,
  draw,
  equalParts,
  GroupNorm,
  gapsOf,
  Linear,
  type LinearOptions,
  type Mixed,
  type MixerTraits,
  Module,
  type Pass,
  parameter,
  previousTokens,
  type Rng,
  type SequenceMixer,
  startBias,
  unitLength,
} from '@mneme/core-tensor'
import { add, mul, neg, reshape, sigmoid, sub, sum, type Tensor, tanh, type Variable } from '@tensorflow/tfjs-core'
import { LowRank } from './low-rank.js'
import type { RwkvMatrixState } from './rwkv-memory.js'
import { along, mixShift, mixStart, type RwkvDepth, shareOfDepth } from './rwkv-shift.js'

/** Ranks of what decides decay, in-context learning rate, value residual and gate. */
export interface Rwkv7Ranks {
  readonly w: number
  readonly a: number
  readonly v: number
  readonly g: number
}

export interface Rwkv7Options extends RwkvDepth {
  readonly dModel: number
  readonly nHeads: number
  /** Width of values, all heads together. */
  readonly dValue: number
  readonly ranks: Rwkv7Ranks
  /** Of the norm of the readout; the authors' is 64e-5 for heads 64 wide. */
  readonly normEps: number
  /** Tokens a block of matrix products; changes cost, not results. */
  readonly chunk: number
  readonly projection?: LinearOptions
}

/** Where the first layer leaves its values for the others. */
const FIRST_VALUES = 'rwkv7 first values'
/** No decay is faster than e^-0.607 = 0.545. */
const FASTEST = -Math.exp(-0.5)

/**
 * Time mixing of RWKV-7 (Goose): a delta rule whose decay is by channel and whose rate is learned in context.
 *
 *   S_t = (diag(w_t) − κ_t (κ_t ⊙ a_t)ᵀ)ᵀ S_{t-1} + k_t v_tᵀ,   o_t = S_tᵀ r_t
 *   y_t = W_o((GroupNorm(o_t) + (Σ r_t ⊙ k_t ⊙ ρ) v_t) ⊙ g_t),   w_t = exp(−e^{−1/2} σ(·)),   a_t = σ(·)
 *
 * κ is k ⊙ ξ at length 1 by head, k is scaled by 1 + (a − 1) ⊙ α, and layers after the first blend their values with
 * the first layer's. State: the last input `[B, D]` and S `[B, H, N, V]`, constant in T. Time O(T D (D + N)).
 * Paper: Peng et al. 2025, arXiv:2503.14456, section 4.
 * Differs: alone, without a stack that hands on the first layer's values, a later layer keeps its own.
 */
export class Rwkv7TimeMix extends Module implements SequenceMixer<RwkvMatrixState> {
  readonly traits: MixerTraits = { causal: true, padding: true, constantState: true }
  /** Shares of the token before in what r, w, k, v, a and g are made of. */
  readonly xr: Variable
  readonly xw: Variable
  readonly xk: Variable
  readonly xv: Variable
  readonly xa: Variable
  readonly xg: Variable
  /** ξ, α and ρ. */
  readonly kk: Variable
  readonly ka: Variable
  readonly rk: Variable
  readonly rProj: Linear
  readonly kProj: Linear
  readonly vProj: Linear
  readonly oProj: Linear
  readonly decay: LowRank
  readonly rate: LowRank
  /** Null in the first layer. */
  readonly residual: LowRank | null
  readonly gate: LowRank
  readonly gNorm: GroupNorm

  constructor(
    private readonly options: Rwkv7Options,
    rng: Rng,
  ) {
    super()
    const { dModel: D, nHeads: H, dValue: V, ranks, layer, normEps, projection = { bias: false } } = options
    const K = equalParts('Rwkv7TimeMix nHeads', H, 'dModel', D)
    equalParts('Rwkv7TimeMix nHeads', H, 'dValue', V)
    const { rising, falling } = shareOfDepth(options)
    const mix = (power: number): Variable => mixStart(D, power * falling, 'previous')
    this.xr = mix(0.2)
    this.xw = mix(0.9)
    this.xk = mix(0.7)
    this.xv = mix(0.7)
    this.xa = mix(0.9)
    this.xg = mix(0.2)
    this.kk = parameter(draw([D], (i) => 0.71 - 0.1 * (along(i, D) - 0.5)))
    this.ka = parameter(constant([D], 1.02))
    this.rk = parameter(constant([H, K], -0.04))
    this.rProj = new Linear(D, D, rng, projection)
    this.kProj = new Linear(D, D, rng, projection)
    this.vProj = new Linear(D, V, rng, projection)
    this.oProj = new Linear(V, D, rng, projection)
    const lowRank = (rank: number, out: number, bias: (i: number) => number, activation?: typeof tanh): LowRank => {
      const made = new LowRank(D, out, rng, { rank, bias: true, projection, ...(activation && { activation }) })
      startBias(made.up, bias)
      return made
    }
    this.decay = lowRank(ranks.w, D, (i) => -5.5 + 6 * along(i, D) ** (1 + rising ** 0.3), tanh)
    this.rate = lowRank(ranks.a, D, (i) => -0.19 + 0.4 * (along(i, D) - 0.5))
    this.residual = layer === 0 ? null : lowRank(ranks.v, V, (i) => 0.73 - 0.4 * (i / V - 0.5))
    this.gate = new LowRank(D, V, rng, { rank: ranks.g, bias: false, activation: sigmoid, projection })
    this.gNorm = new GroupNorm(H, V, normEps)
  }

  initialState(batch: number): RwkvMatrixState {
    const { dModel: D, nHeads: H, dValue: V } = this.options
    return { last: constant([batch, D], 0), memory: constant([batch, H, D / H, V / H], 0) }
  }

  forward(x: Tensor, state?: RwkvMatrixState, pass?: Pass): Mixed<RwkvMatrixState> {
    const { dModel: D, nHeads: H, chunk } = this.options
    const { B, T } = dims('Rwkv7TimeMix.forward x', x, 'B T D', { D })
    const past = state ?? this.initialState(B)
    const gaps = gapsOf('Rwkv7TimeMix.forward', pass, B, T)
    const { previous: before, last } = previousTokens(x, past.last, gaps)
    const mixed = (mix: Tensor): Tensor => mixShift(x, before, mix, 'previous')
    const heads = (y: Tensor): Tensor => reshape(y, [B, T, H, -1])
    const r = heads(this.rProj.forward(mixed(this.xr)))
    const rate = sigmoid(this.rate.forward(mixed(this.xa)))
    const raw = this.kProj.forward(mixed(this.xk))
    const direction = unitLength(heads(mul(raw, this.kk)))
    const k = heads(mul(raw, add(mul(sub(rate, 1), this.ka), 1)))
    const v = heads(this.values(mixed(this.xv), pass))
    const logDecay = heads(mul(sigmoid(this.decay.forward(mixed(this.xw))), FASTEST))
    const { o, state: memory } = dplrDeltaRule(
      {
        q: r,
        k: atTokens(k, gaps),
        v,
        a: neg(direction),
        b: atTokens(mul(direction, heads(rate)), gaps),
        logDecay: atTokens(logDecay, gaps),
        ...(gaps && { resets: gaps.starts }),
        state: past.memory,
      },
      { chunk, scale: 1 },
    )
    pass?.record?.record('logDecay', logDecay)
    pass?.record?.record('rate', rate)
    pass?.record?.record('memory', memory)
    const itself = mul(sum(mul(mul(r, k), this.rk), 3, true), v)
    const read = add(this.gNorm.forward(reshape(o, [B, T, -1])), reshape(itself, [B, T, -1]))
    return { y: this.oProj.forward(mul(read, this.gate.forward(mixed(this.xg)))), state: { last, memory } }
  }

  /** Values, from the second layer on blended with those of the first. */
  private values(x: Tensor, pass?: Pass): Tensor {
    const own = this.vProj.forward(x)
    if (this.residual === null) {
      pass?.shared?.set(FIRST_VALUES, own)
      return own
    }
    const first = pass?.shared?.get(FIRST_VALUES)
    return first === undefined ? own : add(own, mul(sub(first, own), sigmoid(this.residual.forward(x))))
  }

  stateBytes(): number {
    const { dModel: D, nHeads: H, dValue: V } = this.options
    return 4 * (D + (D * V) / H)
  }
}
