import {
  constant,
  dims,
  draw,
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
import { type RwkvMatrixState, readRwkv } from './rwkv-memory.js'
import { mixShift, type RwkvDepth, shareOfDepth } from './rwkv-shift.js'

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
    if (D % H !== 0) throw new RangeError(`Rwkv5TimeMix nHeads: expected a divisor of dModel = ${D}, got ${H}.`)
    const { rising, falling } = shareOfDepth(options)
    const channels = (shape: readonly number[], f: (i: number) => number): Variable => {
      let i = 0
      return parameter(draw(shape, () => f(i++)))
    }
    const along = (i: number): number => (D === 1 ? 0 : i / (D - 1))
    const heads = [H, D / H]
    this.timeDecay = channels(heads, (i) => -6 + 5 * along(i) ** (0.7 + 1.3 * rising))
    this.timeFaaaa = channels(heads, (i) => rising * (1 - along(i)) + 0.1 * (((i + 1) % 3) - 1))
    this.timeMixKey = channels([D], (i) => (i / D) ** falling)
    this.timeMixValue = channels([D], (i) => (i / D) ** falling + 0.3 * rising)
    this.timeMixReceptance = channels([D], (i) => (i / D) ** (falling / 2))
    this.timeMixGate = channels([D], (i) => (i / D) ** (falling / 2))
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
