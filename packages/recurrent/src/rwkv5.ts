import {
  constant,
  dims,
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
  silu,
} from '@mneme/core-tensor'
import { exp, mul, neg, reshape, type Tensor, type Variable } from '@tensorflow/tfjs-core'
import { bonusStart, decayStart, type RwkvMatrixState, readRwkv } from './rwkv-memory.js'
import { mixShift, mixStart, type RwkvDepth, shareOfDepth } from './rwkv-shift.js'

export interface Rwkv5Options extends RwkvDepth {
  readonly dModel: number
  readonly nHeads: number
  /** The authors norm a readout over 8 by 1e-5, which is the readout by 64 times that. */
  readonly normEps: number
  /** Tokens a block of matrix products; changes cost, not results. */
  readonly chunk: number
  readonly projection?: LinearOptions
}

/**
 * Time mixing of RWKV-5 (Eagle): a matrix for each head, which fades at a learned rate in each key channel.
 *
 *   o_t = S_{t-1}ᵀ r_t + (r_t · (u ⊙ k_t)) v_t,   S_t = diag(w) S_{t-1} + k_t v_tᵀ,   w = exp(−e^{time decay})
 *   y_t = W_o(GroupNorm(o_t) ⊙ silu(g_t)),   r, k, v, g = W(m ⊙ x_t + (1 − m) ⊙ x_{t-1}), each with its own m
 *
 * State: the last input `[B, D]` and S `[B, H, N, N]`, N = D/H, constant in T. Time O(T D (D + N)).
 * Paper: Peng et al. 2024, arXiv:2404.05892, section 4.2 (Eagle).
 */
export class Rwkv5TimeMix extends Module implements SequenceMixer<RwkvMatrixState> {
  readonly traits: MixerTraits = { causal: true, padding: true, constantState: true }
  readonly timeDecay: Variable
  readonly timeFaaaa: Variable
  readonly timeMixKey: Variable
  readonly timeMixValue: Variable
  readonly timeMixReceptance: Variable
  readonly timeMixGate: Variable
  readonly key: Linear
  readonly value: Linear
  readonly receptance: Linear
  readonly gate: Linear
  readonly output: Linear
  readonly lnX: GroupNorm

  constructor(
    private readonly options: Rwkv5Options,
    rng: Rng,
  ) {
    super()
    const { dModel: D, nHeads: H, normEps, projection = { bias: false } } = options
    const { rising, falling } = shareOfDepth(options)
    const heads = [H, equalParts('Rwkv5TimeMix nHeads', H, 'dModel', D)]
    this.timeDecay = parameter(draw(heads, decayStart(D, rising)))
    this.timeFaaaa = parameter(draw(heads, bonusStart(D, rising)))
    this.timeMixKey = mixStart(D, falling, 'current')
    this.timeMixValue = mixStart(D, falling, 'current', 0.3 * rising)
    this.timeMixReceptance = mixStart(D, falling / 2, 'current')
    this.timeMixGate = mixStart(D, falling / 2, 'current')
    const square = (): Linear => new Linear(D, D, rng, projection)
    this.key = square()
    this.value = square()
    this.receptance = square()
    this.gate = square()
    this.output = square()
    this.lnX = new GroupNorm(H, D, normEps)
  }

  initialState(batch: number): RwkvMatrixState {
    const { dModel: D, nHeads: H } = this.options
    return { last: constant([batch, D], 0), memory: constant([batch, H, D / H, D / H], 0) }
  }

  forward(x: Tensor, state?: RwkvMatrixState, pass?: Pass): Mixed<RwkvMatrixState> {
    const { dModel: D, nHeads: H, chunk } = this.options
    const { B, T } = dims('Rwkv5TimeMix.forward x', x, 'B T D', { D })
    const past = state ?? this.initialState(B)
    const gaps = gapsOf('Rwkv5TimeMix.forward', pass, B, T)
    const { previous: before, last } = previousTokens(x, past.last, gaps)
    const mixed = (mix: Tensor): Tensor => mixShift(x, before, mix, 'current')
    const { o, memory } = readRwkv(
      {
        r: this.receptance.forward(mixed(this.timeMixReceptance)),
        k: this.key.forward(mixed(this.timeMixKey)),
        v: this.value.forward(mixed(this.timeMixValue)),
        logDecay: reshape(neg(exp(this.timeDecay)), [1, 1, H, D / H]),
        bonus: this.timeFaaaa,
      },
      past.memory,
      gaps,
      chunk,
    )
    pass?.record?.record('memory', memory)
    const gate = silu(this.gate.forward(mixed(this.timeMixGate)))
    return { y: this.output.forward(mul(this.lnX.forward(o), gate)), state: { last, memory } }
  }

  stateBytes(): number {
    const { dModel: D, nHeads: H } = this.options
    return 4 * (D + (D * D) / H)
  }
}
