import {
  dims,
  gapsOf,
  Linear,
  type LinearOptions,
  type Mixed,
  type MixerTraits,
  Module,
  type Pass,
  type Rng,
  type SequenceMixer,
  timesOf,
} from '@mneme/core-tensor'
import { div, einsum, exp, max, maximum, mul, reshape, softmax, sub, sum, type Tensor } from '@tensorflow/tfjs-core'
import { emptyPrefix, type PrefixState, prefixAttention, prefixBytes } from './prefix-attention.js'

export interface LatteOptions {
  readonly dModel: number
  readonly nHeads: number
  /** Slots of all heads together. */
  readonly slots: number
  /** Multiplies the scores of slots and tokens. */
  readonly scale: number
  /** Tokens a block of matrix products; changes cost, not results. */
  readonly chunk: number
  readonly projection?: LinearOptions
}

/**
 * Latent attention: a token chooses among slots, and each slot attends to all tokens so far by scores of its own.
 *
 *   o_t = Σ_l softmax_l(q_t)_l (Σ_{s ≤ t} e^{k_sl} v_s) / (Σ_{s ≤ t} e^{k_sl}),   q, k = W_q x, W_k x,   v = W_v x
 *
 * q, k `[H, L]` with L = slots / H, v `[H, V]` with V = D / H. State: of each slot a weighted sum, its weight and the
 * greatest score, `[B, H, L, V + 2]`, constant in T. Time O(T L V) a head.
 * Paper: Dolga et al. 2024, arXiv:2402.17512, section 3.
 */
export class Latte extends Module implements SequenceMixer<PrefixState> {
  readonly traits: MixerTraits = { causal: true, padding: true, constantState: true }
  readonly qProj: Linear
  readonly kProj: Linear
  readonly vProj: Linear
  readonly oProj: Linear
  private readonly slots: number
  private readonly dValue: number

  constructor(
    private readonly options: LatteOptions,
    rng: Rng,
  ) {
    super()
    const { dModel: D, nHeads: H, slots, projection = { bias: false } } = options
    this.slots = timesOf('Latte slots', slots, 'nHeads', H)
    this.dValue = timesOf('Latte dModel', D, 'nHeads', H)
    this.qProj = new Linear(D, slots, rng, projection)
    this.kProj = new Linear(D, slots, rng, projection)
    this.vProj = new Linear(D, D, rng, projection)
    this.oProj = new Linear(D, D, rng, projection)
  }

  initialState(batch: number): PrefixState {
    return emptyPrefix(batch, this.options.nHeads, this.slots, this.dValue)
  }

  forward(x: Tensor, state?: PrefixState, pass?: Pass): Mixed<PrefixState> {
    const { B, T, D } = dims('Latte.forward x', x, 'B T D', { D: this.options.dModel })
    const gaps = gapsOf('Latte.forward', pass, B, T)
    const heads = this.heads(x)
    pass?.record?.record('mixture', heads.mixture)
    const prefix = prefixAttention(heads, state ?? this.initialState(B), gaps, this.options.chunk)
    return { y: this.oProj.forward(reshape(prefix.o, [B, T, D])), state: prefix.state }
  }

  /** All tokens to all; mask `[B, T]` is 1 for tokens that are seen. */
  bidirectional(x: Tensor, mask?: Tensor): Tensor {
    const { B, T, D } = dims('Latte.bidirectional x', x, 'B T D', { D: this.options.dModel })
    const { scores, values, mixture } = this.heads(x)
    const seen = mask === undefined ? scores : maskedScores(scores, reshape(mask, [B, T, 1, 1]))
    const fresh = exp(sub(seen, max(seen, 1, true)))
    const weights = div(fresh, maximum(sum(fresh, 1, true), 0.5))
    const averages = einsum('bthl,bthv->bhlv', weights, values)
    return this.oProj.forward(reshape(einsum('bthl,bhlv->bthv', mixture, averages), [B, T, D]))
  }

  private heads(x: Tensor): { readonly scores: Tensor; readonly values: Tensor; readonly mixture: Tensor } {
    const { nHeads: H, scale } = this.options
    const [B, T] = x.shape as [number, number]
    const slots = (proj: Linear): Tensor => mul(reshape(proj.forward(x), [B, T, H, this.slots]), scale)
    return {
      scores: slots(this.kProj),
      values: reshape(this.vProj.forward(x), [B, T, H, this.dValue]),
      mixture: softmax(slots(this.qProj)),
    }
  }

  stateBytes(): number {
    return prefixBytes(this.options.nHeads, this.slots, this.dValue)
  }
}

/** Scores of padding are lower than any other. */
const maskedScores = (scores: Tensor, mask: Tensor): Tensor => sub(mul(scores, mask), mul(sub(1, mask), 1e30))
