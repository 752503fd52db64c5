import {
  dims,
  gapsOf,
  Linear,
  type LinearOptions,
  type Mixed,
  type MixerTraits,
  Module,
  normal,
  type Pass,
  parameter,
  type Rng,
  type SequenceMixer,
} from '@mneme/core-tensor'
import { mul, ones, reshape, sum, type Tensor, type Variable } from '@tensorflow/tfjs-core'
import { emptyPrefix, type PrefixState, prefixAttention, prefixBytes } from './prefix-attention.js'

export interface AarenOptions {
  readonly dModel: number
  readonly nHeads: number
  readonly dHead: number
  /** Tokens a block of matrix products; changes cost, not results. */
  readonly chunk: number
  readonly projection?: LinearOptions
}

/**
 * Attention as a recurrence: softmax over all tokens so far, asked by one learned query, as a scan.
 *
 *   o_t = Σ_{j ≤ t} softmax_j(q·k_j / √K) v_j,   q = W_q p,   k_j, v_j = W_k x_j, W_v x_j
 *
 * p `[D]` a learned token. No query looks anything up: every output is an average that each new token joins. State:
 * greatest score, sum of weights and weighted sum, `[B, H, K + 2]`, constant in T. Time O(T K) a head.
 * Paper: Feng et al. 2024, arXiv:2405.13956, section 3.
 */
export class Aaren extends Module implements SequenceMixer<PrefixState> {
  readonly traits: MixerTraits = { causal: true, padding: true, constantState: true }
  /** p, the token that asks. */
  readonly query: Variable
  readonly qProj: Linear
  readonly kProj: Linear
  readonly vProj: Linear
  readonly oProj: Linear

  constructor(
    private readonly options: AarenOptions,
    rng: Rng,
  ) {
    super()
    const { dModel: D, nHeads: H, dHead: K, projection = {} } = options
    this.query = parameter(normal(rng, [D], 1))
    this.qProj = new Linear(D, H * K, rng, projection)
    this.kProj = new Linear(D, H * K, rng, projection)
    this.vProj = new Linear(D, H * K, rng, projection)
    this.oProj = new Linear(H * K, D, rng, projection)
  }

  initialState(batch: number): PrefixState {
    return emptyPrefix(batch, this.options.nHeads, 1, this.options.dHead)
  }

  forward(x: Tensor, state?: PrefixState, pass?: Pass): Mixed<PrefixState> {
    const { dModel, nHeads: H, dHead: K, chunk } = this.options
    const { B, T } = dims('Aaren.forward x', x, 'B T D', { D: dModel })
    const gaps = gapsOf('Aaren.forward', pass, B, T)
    const q = reshape(mul(this.qProj.forward(reshape(this.query, [1, dModel])), K ** -0.5), [1, 1, H, K])
    const scores = sum(mul(reshape(this.kProj.forward(x), [B, T, H, K]), q), -1, true)
    const values = reshape(this.vProj.forward(x), [B, T, H, K])
    pass?.record?.record('scores', scores)
    const prefix = prefixAttention(
      { scores, values, mixture: ones([B, T, H, 1]) },
      state ?? this.initialState(B),
      gaps,
      chunk,
    )
    return { y: this.oProj.forward(reshape(prefix.o, [B, T, H * K])), state: prefix.state }
  }

  stateBytes(): number {
    return prefixBytes(this.options.nHeads, 1, this.options.dHead)
  }
}
