import {
  dims,
  geluTanh,
  Linear,
  type LinearOptions,
  type Mixed,
  type MixerTraits,
  Module,
  normalInit,
  type Pass,
  type Rng,
  type SequenceMixer,
  ShortConv,
  tailBytes,
} from '@mneme/core-tensor'
import { mul, type Tensor } from '@tensorflow/tfjs-core'
import { RGLRU, type RgLruState } from './rg-lru.js'

export interface RgLruBlockOptions {
  readonly dModel: number
  /** Width of the recurrence. */
  readonly dInner: number
  /** Blocks of the gates' weights; divides dInner. */
  readonly nHeads: number
  readonly convWidth: number
  /** Of the last map; normal of deviation E^-1/2 by default. */
  readonly outInit?: LinearOptions['init']
}

export type RgLruBlockState = {
  /** Last inputs of the convolution, oldest first, `[B, W - 1, E]`. */
  readonly tail: Tensor
  readonly cell: RgLruState
}

/**
 * A gated branch beside a convolution and a real-gated linear recurrent unit.
 *
 *   y_t = W_o (RGLRU(conv(W_x x + b_x))_t ⊙ gelu(W_y x_t + b_y)) + b_o
 *
 * W_x, W_y `[E, D]`, W_o `[D, E]`. No activation follows the convolution; GELU is that by tanh. State: the unit's and the
 * convolution's tail, E (W + 1) values, constant in T. Time O(T (D E + E²/H)).
 * Paper: De et al. 2024, arXiv:2402.19427, section 2.3.
 */
export class RgLruBlock extends Module implements SequenceMixer<RgLruBlockState> {
  readonly traits: MixerTraits = { causal: true, padding: true, constantState: true }
  readonly xProj: Linear
  readonly gateProj: Linear
  readonly conv: ShortConv
  readonly cell: RGLRU
  readonly outProj: Linear

  constructor(
    private readonly options: RgLruBlockOptions,
    rng: Rng,
  ) {
    super()
    const { dModel, dInner, nHeads, convWidth, outInit = normalInit(dInner ** -0.5) } = options
    const inward = { init: normalInit(dModel ** -0.5) }
    this.xProj = new Linear(dModel, dInner, rng, inward)
    this.gateProj = new Linear(dModel, dInner, rng, inward)
    this.conv = new ShortConv(dInner, convWidth, rng, { bias: true })
    this.cell = new RGLRU({ dModel: dInner, nHeads }, rng)
    this.outProj = new Linear(dInner, dModel, rng, { init: outInit })
  }

  initialState(batch: number): RgLruBlockState {
    return { tail: this.conv.initialState(batch), cell: this.cell.initialState(batch) }
  }

  forward(x: Tensor, state?: RgLruBlockState, pass?: Pass): Mixed<RgLruBlockState> {
    const { B } = dims('RgLruBlock.forward x', x, 'B T D', { D: this.options.dModel })
    const before = state ?? this.initialState(B)
    const { y: mixed, tail } = this.conv.forward(this.xProj.forward(x), before.tail, pass)
    const { y: h, state: cell } = this.cell.forward(mixed, before.cell, pass)
    return { y: this.outProj.forward(mul(h, geluTanh(this.gateProj.forward(x)))), state: { tail, cell } }
  }

  stateBytes(): number {
    return tailBytes(this.conv) + this.cell.stateBytes()
  }
}
