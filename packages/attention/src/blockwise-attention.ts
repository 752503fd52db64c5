import {
  dims,
  extended,
  HeadMaps,
  type LinearOptions,
  type Mixed,
  type MixerTraits,
  type Pass,
  type Rng,
  Rotary,
  type RotaryOptions,
  rowByRow,
  type SequenceMixer,
  type State,
  softmaxAttention,
} from '@mneme/core-tensor'
import type { Tensor } from '@tensorflow/tfjs-core'
import {
  blockwiseAttention,
  inProcessRing,
  mergedAttention,
  type PartialAttention,
  ringAttention,
} from './ring-attention.js'

/** How attention to the tokens of a call is taken apart; the results are the same. */
export type AttentionSchedule =
  | { readonly kind: 'blockwise'; readonly queryBlock: number; readonly keyBlock: number }
  /** Keys and values go round so many devices. */
  | { readonly kind: 'ring'; readonly devices: number }

export interface BlockwiseAttentionOptions {
  readonly dModel: number
  readonly nHeads: number
  /** Heads of keys and values; each serves nHeads / nKvHeads query heads. */
  readonly nKvHeads: number
  readonly dHead: number
  readonly rotary: RotaryOptions | null
  readonly schedule: AttentionSchedule
  readonly projection?: LinearOptions
}

export interface BlockwiseState {
  readonly [name: string]: State
  /** `[B, S, G, K]`, rotated; null before the first token. */
  readonly keys: Tensor | null
  readonly values: Tensor | null
  readonly position: number
}

/**
 * Causal softmax attention that is computed in blocks of queries and keys, or shared out over a ring of devices: exactly
 * what plain attention gives.
 *
 *   o_i = Σ_{j ≤ i} softmax_j(q_i·k_j / √K) v_j, merged over blocks by the logarithms of their sums
 *
 * State: keys and values of all tokens, `[B, S, G, K]`. Time O(T² H K); memory grows with T, in training too.
 * Papers: Liu and Abbeel 2023, arXiv:2305.19370, section 3; Liu et al. 2023, arXiv:2310.01889, section 3.
 */
export class BlockwiseAttention extends HeadMaps implements SequenceMixer<BlockwiseState> {
  readonly traits: MixerTraits = { causal: true, padding: true, constantState: false }
  private readonly rotary: Rotary | null

  constructor(
    private readonly options: BlockwiseAttentionOptions,
    rng: Rng,
  ) {
    super('BlockwiseAttention', options, rng)
    this.rotary = options.rotary === null ? null : new Rotary(options.rotary)
  }

  initialState(): BlockwiseState {
    return { keys: null, values: null, position: 0 }
  }

  forward(x: Tensor, state: BlockwiseState = this.initialState(), pass?: Pass): Mixed<BlockwiseState> {
    const { T } = dims('BlockwiseAttention.forward x', x, 'B T D', { D: this.options.dModel })
    const apart = rowByRow(this, x, state, pass)
    if (apart !== null) return apart
    const turn = (y: Tensor): Tensor => this.rotary?.forward(y, state.position) ?? y
    const [q, k, v] = [turn(this.heads(this.qProj, x)), turn(this.heads(this.kProj, x)), this.heads(this.vProj, x)]
    const { o } = this.withPast(q, state, this.among(q, k, v, pass))
    return {
      y: this.fromHeads(o),
      state: { keys: extended(state.keys, k), values: extended(state.values, v), position: state.position + T },
    }
  }

  /** Of the tokens of one call, to each other. */
  private among(q: Tensor, k: Tensor, v: Tensor, pass?: Pass): PartialAttention {
    const { schedule } = this.options
    // who looks on finds each block as it is made
    const recompute = pass?.record === undefined
    if (schedule.kind === 'blockwise') return blockwiseAttention({ q, k, v }, { ...schedule, causal: true, recompute })
    // no device without a token
    const devices = Math.min(schedule.devices, q.shape[1] as number)
    return ringAttention({ q, k, v }, inProcessRing(devices), { causal: true })
  }

  /** Everything that came before the call is seen by all of its queries. */
  private withPast(q: Tensor, { keys, values }: BlockwiseState, own: PartialAttention): PartialAttention {
    if (keys === null || values === null) return own
    return mergedAttention(softmaxAttention({ q, k: keys, v: values }, { causal: false }), own)
  }

  stateBytes(length: number): number {
    const { nKvHeads, dHead } = this.options
    return 8 * length * nKvHeads * dHead
  }
}
