import {
  constant,
  dims,
  gapsOf,
  Linear,
  latestTokens,
  linearScan,
  type Mixed,
  type MixerTraits,
  Module,
  overGaps,
  type Pass,
  type Rng,
  type SequenceMixer,
  tokenAt,
  wholeNumber,
} from '@mneme/core-tensor'
import { concat, mul, neg, sigmoid, split, type Tensor, tanh, zeros } from '@tensorflow/tfjs-core'

export interface QrnnOptions {
  readonly dModel: number
  /** Tokens that candidates and gates see, the current one included. */
  readonly width: number
  /** Forget gate alone, output gate too, or an input gate of its own as well. */
  readonly pooling: 'f' | 'fo' | 'ifo'
}

export type QrnnState = {
  /** Last `width − 1` inputs, oldest first; null for a width of 1. */
  readonly tail: Tensor | null
  readonly c: Tensor
}

/**
 * Quasi-recurrent network: a causal convolution makes candidates and gates, and an elementwise recurrence pools them.
 *
 *   Z, F, O, I = tanh, σ, σ, σ of W ∗ x,   c_t = f_t ⊙ c_{t-1} + (1 − f_t) ⊙ z_t,   y_t = o_t ⊙ c_t
 *
 * With pooling 'f' there is no O, with 'ifo' i_t stands for 1 − f_t. State c `[B, D]` and k − 1 inputs, constant in T.
 * Time O(T k D²). Paper: Bradbury et al. 2016, arXiv:1611.01576, section 2.
 */
export class QRNN extends Module implements SequenceMixer<QrnnState> {
  readonly traits: MixerTraits = { causal: true, padding: true, constantState: true }
  /** Parts of its output: z, f, o, i. */
  readonly projection: Linear

  constructor(
    private readonly options: QrnnOptions,
    rng: Rng,
  ) {
    super()
    const { dModel, width, pooling } = options
    wholeNumber('QRNN width', width, 'tokens')
    this.projection = new Linear(width * dModel, (1 + pooling.length) * dModel, rng)
  }

  initialState(batch: number): QrnnState {
    const { dModel, width } = this.options
    return { tail: width === 1 ? null : zeros([batch, width - 1, dModel]), c: constant([batch, dModel], 0) }
  }

  forward(x: Tensor, state?: QrnnState, pass?: Pass): Mixed<QrnnState> {
    const { dModel, pooling } = this.options
    const { B, T } = dims('QRNN.forward x', x, 'B T D', { D: dModel })
    const before = state ?? this.initialState(B)
    const gaps = gapsOf('QRNN.forward', pass, B, T)
    // the last tokens side by side, oldest first
    const latest = before.tail && latestTokens(x, before.tail, gaps)
    const windows = latest === null ? x : concat([...latest.lags], 2)
    const [z, f, o, i] = split(this.projection.forward(windows), 1 + pooling.length, 2) as [Tensor, Tensor, ...Tensor[]]
    const decay = sigmoid(f)
    const written = mul(sigmoid(i ?? neg(f)), tanh(z))
    const c = linearScan({ ...overGaps(decay, written, gaps), h0: before.c }).h
    pass?.record?.record('decay', decay)
    return {
      y: o === undefined ? c : mul(sigmoid(o), c),
      state: { tail: latest === null ? null : latest.tail, c: tokenAt(c, T - 1) },
    }
  }

  stateBytes(): number {
    return 4 * this.options.width * this.options.dModel
  }
}
