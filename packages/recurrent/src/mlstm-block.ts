import {
  blockDiagonal,
  constant,
  dims,
  equalParts,
  GroupNorm,
  gapsOf,
  Linear,
  type LinearOptions,
  type Mixed,
  type MixerTraits,
  Module,
  normal,
  normalInit,
  type Pass,
  parameter,
  type Rng,
  type SequenceMixer,
  ShortConv,
  silu,
  tailBytes,
} from '@mneme/core-tensor'
import { add, concat, mul, split, type Tensor, type Variable } from '@tensorflow/tfjs-core'
import { emptyMlstm, forgetBias, gate, type MlstmState, mlstmHeads } from './mlstm.js'

export interface MlstmBlockOptions {
  readonly dModel: number
  /** Width that queries, keys, values and the gate beside them are projected up to. */
  readonly dInner: number
  readonly nHeads: number
  readonly convWidth: number
  /** Channels of a block of the maps to queries, keys and values. */
  readonly mapBlock: number
  /** Whether linear maps have biases. */
  readonly bias: boolean
  readonly eps: number
  readonly normEps: number
  /** 1 where the norm's weight is what a channel's factor has beyond 1. */
  readonly normOffset?: 0 | 1
  /** Tokens a block of matrix products; changes cost, not results. */
  readonly chunk: number
  /** Initial weights of the last map. */
  readonly outInit?: LinearOptions['init']
}

export type MlstmBlockState = {
  /** Last inputs of the convolution, oldest first, `[B, W - 1, E]`. */
  readonly tail: Tensor
  readonly cell: MlstmState
}

/**
 * mLSTM between an up- and a down-projection, its queries and keys behind a convolution, its output gated from beside.
 *
 *   u, z = W_up x,   c = SiLU(conv u),   q, k, v = W_q c, W_k c, W_v u,   i, f = W_i [q, k, v], W_f [q, k, v]
 *   y = W_down((LayerNorm(mLSTM(q, k, v, i, f)) + s ⊙ c) ⊙ SiLU(z))
 *
 * u, z `[B, T, E]`; W_q, W_k, W_v block-diagonal, `[E/b, b, b]`; the norm is by head; s `[E]` is learned. State: the
 * cell's C, n, m, and the convolution's last inputs, constant in T. Time O(T (D E + E²/H)).
 * Paper: Beck et al. 2024, arXiv:2405.04517, section 2.4 and figure 10.
 */
export class MlstmBlock extends Module implements SequenceMixer<MlstmBlockState> {
  readonly traits: MixerTraits = { causal: true, padding: true, constantState: true }
  /** Its output is u, z. */
  readonly upProj: Linear
  readonly conv: ShortConv
  readonly qProj: Variable
  readonly kProj: Variable
  readonly vProj: Variable
  readonly qBias: Variable | null
  readonly kBias: Variable | null
  readonly vBias: Variable | null
  readonly inputGate: Linear
  readonly forgetGate: Linear
  readonly outNorm: GroupNorm
  readonly skip: Variable
  readonly downProj: Linear

  constructor(
    private readonly options: MlstmBlockOptions,
    rng: Rng,
  ) {
    super()
    const { dModel: D, dInner: E, nHeads: H, convWidth, mapBlock, bias, normEps, normOffset = 0 } = options
    for (const [name, parts] of Object.entries({ nHeads: H, mapBlock })) {
      equalParts(`MlstmBlock ${name}`, parts, 'dInner', E)
    }
    const std = Math.sqrt(2 / (5 * D))
    const map = (): Variable => parameter(normal(rng, [E / mapBlock, mapBlock, mapBlock], std))
    const shift = (): Variable | null => (bias ? parameter(constant([E], 0)) : null)
    this.upProj = new Linear(D, 2 * E, rng, { bias, init: normalInit(std) })
    this.conv = new ShortConv(E, convWidth, rng, { bias: true })
    this.qProj = map()
    this.kProj = map()
    this.vProj = map()
    this.qBias = shift()
    this.kBias = shift()
    this.vBias = shift()
    this.inputGate = gate(3 * E, H, rng, () => 0.1 * rng.normal())
    this.forgetGate = gate(3 * E, H, rng, (h) => forgetBias(h, H))
    this.outNorm = new GroupNorm(H, E, normEps, { bias: false, offset: normOffset })
    this.skip = parameter(constant([E], 1))
    this.downProj = new Linear(E, D, rng, { bias, ...(options.outInit && { init: options.outInit }) })
  }

  initialState(batch: number): MlstmBlockState {
    const { dInner: E, nHeads: H } = this.options
    return { tail: this.conv.initialState(batch), cell: emptyMlstm(batch, H, E / H, E / H) }
  }

  forward(x: Tensor, state?: MlstmBlockState, pass?: Pass): Mixed<MlstmBlockState> {
    const { dModel, eps, chunk } = this.options
    const { B, T } = dims('MlstmBlock.forward x', x, 'B T D', { D: dModel })
    const gaps = gapsOf('MlstmBlock.forward', pass, B, T)
    const before = state ?? this.initialState(B)
    const [u, z] = split(this.upProj.forward(x), 2, 2) as [Tensor, Tensor]
    const { y: mixed, tail } = this.conv.forward(u, before.tail, pass)
    const c = silu(mixed)
    const q = mapped(c, this.qProj, this.qBias)
    const k = mapped(c, this.kProj, this.kBias)
    const v = mapped(u, this.vProj, this.vBias)
    const seen = concat([q, k, v], 2)
    const tokens = {
      q,
      k,
      v,
      inputGate: this.inputGate.forward(seen),
      forgetGate: this.forgetGate.forward(seen),
    }
    const { y: h, state: cell } = mlstmHeads(tokens, before.cell, gaps, { eps, chunk }, pass)
    const read = add(this.outNorm.forward(h), mul(this.skip, c))
    return { y: this.downProj.forward(mul(read, silu(z))), state: { tail, cell } }
  }

  stateBytes(): number {
    const { dInner: E, nHeads: H } = this.options
    return 4 * (E ** 2 / H + E + H) + tailBytes(this.conv)
  }
}

function mapped(x: Tensor, weight: Tensor, bias: Tensor | null): Tensor {
  const y = blockDiagonal(x, weight, true)
  return bias === null ? y : add(y, bias)
}
