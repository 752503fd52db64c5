import {
  blockDiagonal,
  constant,
  dims,
  draw,
  equalParts,
  GroupNorm,
  gapsOf,
  type Mixed,
  type MixerTraits,
  Module,
  normal,
  type Pass,
  parameter,
  type Rng,
  type SequenceMixer,
  ShortConv,
  silu,
  slstm,
  tailBytes,
  tokenAt,
} from '@mneme/core-tensor'
import { concat, type Tensor, type Variable, zeros } from '@tensorflow/tfjs-core'

export interface SlstmOptions {
  readonly dModel: number
  /** Heads, which mix what they remember only within themselves; divides dModel. */
  readonly nHeads: number
  /** Tokens that the convolution before the input and forget gates sees. */
  readonly convWidth: number
  /** Where the layer stands in its stack, 0 the first and 1 the last: how the forget gates' biases spread at first. */
  readonly depth: number
  readonly normEps: number
  /** 1 where the norm's weight is what a channel's factor has beyond 1. */
  readonly normOffset?: 0 | 1
}

export type SlstmState = {
  /** Last `convWidth − 1` inputs, oldest first. */
  readonly tail: Tensor
  readonly h: Tensor
  /** Memory and its normaliser, both divided by e^m. */
  readonly c: Tensor
  readonly n: Tensor
  readonly m: Tensor
}

/**
 * sLSTM: a scalar memory with an exponential input gate, whose heads look at their own last output.
 *
 *   i, f = W_i x', W_f x',   z, o = W_z x, W_o x,   x' = SiLU(conv x), each + R h_{t-1} + b
 *   c_t = σ(f) c_{t-1} + e^i tanh(z),   n_t = σ(f) n_{t-1} + e^i,   h_t = σ(o) ⊙ c_t / n_t,   y_t = LayerNorm(h_t)
 *
 * W `[H, K, K]` and R `[H, 4K, K]`, rows in the order i, f, z, o, are block-diagonal over heads, K = D/H; the norm is by
 * head. c and n are kept over e^m, m the largest exponent so far. State h, c, n and m `[B, D]` and the convolution's
 * last inputs, constant in T. Time O(T D K), token after token.
 * Paper: Beck et al. 2024, arXiv:2405.04517, section 2.2 and appendix A.2.
 */
export class SLSTM extends Module implements SequenceMixer<SlstmState> {
  readonly traits: MixerTraits = { causal: true, padding: true, constantState: true }
  readonly conv: ShortConv
  readonly inputGate: Variable
  readonly forgetGate: Variable
  readonly cellInput: Variable
  readonly outputGate: Variable
  readonly recurrentWeight: Variable
  readonly bias: Variable
  readonly norm: GroupNorm

  constructor(
    private readonly options: SlstmOptions,
    rng: Rng,
  ) {
    super()
    const { dModel: D, nHeads: H, convWidth, depth, normEps, normOffset = 0 } = options
    const K = equalParts('SLSTM nHeads', H, 'dModel', D)
    const projection = (): Variable => parameter(normal(rng, [H, K, K], Math.sqrt(2 / (5 * D))))
    this.conv = new ShortConv(D, convWidth, rng, { bias: true })
    this.inputGate = projection()
    this.forgetGate = projection()
    this.cellInput = projection()
    this.outputGate = projection()
    this.recurrentWeight = parameter(constant([H, 4 * K, K], 0))
    this.bias = parameter(biases(D, K, depth))
    this.norm = new GroupNorm(H, D, normEps, { bias: false, offset: normOffset })
  }

  initialState(batch: number): SlstmState {
    const empty = (): Tensor => zeros([batch, this.options.dModel])
    return { tail: this.conv.initialState(batch), h: empty(), c: empty(), n: empty(), m: empty() }
  }

  forward(x: Tensor, state?: SlstmState, pass?: Pass): Mixed<SlstmState> {
    const { B, T } = dims('SLSTM.forward x', x, 'B T D', { D: this.options.dModel })
    const gaps = gapsOf('SLSTM.forward', pass, B, T)
    const before = state ?? this.initialState(B)
    const { y: mixed, tail } = this.conv.forward(x, before.tail, pass)
    const seen = silu(mixed)
    const parts = [
      blockDiagonal(seen, this.inputGate, true),
      blockDiagonal(seen, this.forgetGate, true),
      blockDiagonal(x, this.cellInput, true),
      blockDiagonal(x, this.outputGate, true),
    ]
    const { h, c, n, m } = slstm({
      projected: concat(parts, 2),
      weight: this.recurrentWeight,
      bias: this.bias,
      h0: before.h,
      c0: before.c,
      n0: before.n,
      m0: before.m,
      ...(gaps && { resets: gaps.starts, mask: gaps.tokens }),
    })
    pass?.record?.record('state', h)
    const last = (part: Tensor): Tensor => tokenAt(part, T - 1)
    return { y: this.norm.forward(h), state: { tail, h: last(h), c: last(c), n: last(n), m: last(m) } }
  }

  stateBytes(): number {
    return 4 * 4 * this.options.dModel + tailBytes(this.conv)
  }
}

/** Forget gates start from 5 down to −7 over each head, later layers nearer to 5 for longer; the other gates at 0. */
function biases(D: number, K: number, depth: number): Tensor {
  return draw([4 * D], (place) => {
    const [gate, unit] = [Math.floor(place / D), place % K]
    return gate === 1 ? 5 - 12 * (unit / Math.max(K - 1, 1)) ** (0.3 + 1.3 * depth) : 0
  })
}
