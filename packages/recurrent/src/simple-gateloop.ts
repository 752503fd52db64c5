import {
  constant,
  dims,
  gapsOf,
  LayerNorm,
  Linear,
  type LinearOptions,
  linearScan,
  type Mixed,
  type MixerTraits,
  Module,
  overGaps,
  type Pass,
  RMSNorm,
  type Rng,
  type SequenceMixer,
  tokenAt,
} from '@mneme/core-tensor'
import { mul, sigmoid, split, type Tensor } from '@tensorflow/tfjs-core'

export interface SimpleGateLoopOptions {
  readonly dModel: number
  /** Whether the outputs are normalised. */
  readonly postNorm: boolean
  readonly projection?: LinearOptions
}

/**
 * Gated loop in its plainest form: one real gate a channel, keys and values made as one.
 *
 *   [q_t, u_t, a_t] = W RMSNorm(x_t),   h_t = σ(a_t) ⊙ h_{t-1} + u_t,   y_t = q_t ⊙ h_t
 *
 * State h `[B, D]`, constant in T. Time O(T D²), decoding O(D²).
 * Source: the reduced layer of arXiv:2311.01927 with real gates and K = V = 1, as commonly ported.
 */
export class SimpleGateLoop extends Module implements SequenceMixer<Tensor> {
  readonly traits: MixerTraits = { causal: true, padding: true, constantState: true }
  readonly norm: RMSNorm
  /** Its output is q, the product of key and value, a. */
  readonly projection: Linear
  readonly postNorm: LayerNorm | null

  constructor(
    private readonly options: SimpleGateLoopOptions,
    rng: Rng,
  ) {
    super()
    const { dModel, postNorm, projection = { bias: false } } = options
    this.norm = new RMSNorm(dModel, 1e-24)
    this.projection = new Linear(dModel, 3 * dModel, rng, projection)
    this.postNorm = postNorm ? new LayerNorm(dModel) : null
  }

  initialState(batch: number): Tensor {
    return constant([batch, this.options.dModel], 0)
  }

  forward(x: Tensor, state?: Tensor, pass?: Pass): Mixed<Tensor> {
    const { B, T } = dims('SimpleGateLoop.forward x', x, 'B T D', { D: this.options.dModel })
    const gaps = gapsOf('SimpleGateLoop.forward', pass, B, T)
    const [q, u, a] = split(this.projection.forward(this.norm.forward(x)), 3, 2) as [Tensor, Tensor, Tensor]
    const decay = sigmoid(a)
    const { h } = linearScan({ ...overGaps(decay, u, gaps), h0: state ?? this.initialState(B) })
    pass?.record?.record('decay', decay)
    pass?.record?.record('state', h)
    const y = mul(q, h)
    return { y: this.postNorm ? this.postNorm.forward(y) : y, state: tokenAt(h, T - 1) }
  }

  stateBytes(): number {
    return 4 * this.options.dModel
  }
}
