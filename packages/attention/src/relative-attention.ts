import {
  bySegments,
  constant,
  dims,
  distanceWaves,
  extended,
  Linear,
  type LinearOptions,
  type Mixed,
  type MixerTraits,
  Module,
  type Pass,
  pieceOf,
  type Rng,
  rowByRow,
  type SequenceMixer,
  type State,
  shiftedByQuery,
  softmaxAttention,
  stopGradient,
} from '@mneme/core-tensor'
import {
  add,
  clone,
  matMul,
  mul,
  reshape,
  slice,
  split,
  type Tensor,
  transpose,
  type Variable,
} from '@tensorflow/tfjs-core'

export interface RelativeAttentionOptions {
  readonly dModel: number
  readonly nHeads: number
  readonly dHead: number
  /** Tokens of a segment; at its end they become memory. */
  readonly segment: number
  /** Tokens remembered from earlier segments. */
  readonly memory: number
  /** Every query sees just `memory` keys, its own included, as published evaluations do. */
  readonly sameLength: boolean
  /** Distances beyond this count as this; 0 for none. */
  readonly clampLength: number
  /** Whether memory starts full of zero vectors, which queries see, rather than empty. */
  readonly zeroMemory?: boolean
  readonly projection?: LinearOptions
}

/** Two learned vectors a head that stand in for the query's own position; layers may share them. */
export interface RelativeBiases {
  /** u of the paper, `[H, K]`. */
  readonly content: Variable
  /** v of the paper, `[H, K]`. */
  readonly position: Variable
}

export interface SegmentCache {
  readonly [name: string]: State
  /** Inputs of earlier segments, `[B, up to memory, D]`; no gradient flows into them. */
  readonly memory: Tensor | null
  /** Inputs of the open segment. */
  readonly segment: Tensor | null
}

/**
 * Attention over the open segment and a cache of this layer's earlier inputs, with relative positions.
 *
 *   a_ij = (q_i + u)·k_j + (q_i + v)·W_r R_{i-j},   o_i = Σ_{j ≤ i} softmax_j(a_ij / √K) v_j
 *
 * R_d = [sin(d ω), cos(d ω)], ω_m = 10000^(-2m/D). State: at most memory + segment - 1 inputs, `[B, ·, D]`, bounded.
 * Time O(T (memory + segment) D) a layer.
 * Paper: Dai et al. 2019, arXiv:1901.02860, sections 3.2 and 3.3.
 */
export class RelativeAttention extends Module implements SequenceMixer<SegmentCache> {
  readonly traits: MixerTraits
  readonly qkvProj: Linear
  readonly relProj: Linear
  readonly oProj: Linear
  readonly contentBias: Variable
  readonly positionBias: Variable

  constructor(
    private readonly options: RelativeAttentionOptions,
    biases: RelativeBiases,
    rng: Rng,
  ) {
    super()
    const { dModel, nHeads, dHead, segment, memory, projection = { bias: false } } = options
    if (!(segment >= 1 && memory >= 0)) {
      throw new RangeError(`RelativeAttention: expected segment >= 1 and memory >= 0, got ${segment} and ${memory}.`)
    }
    // without memory nothing passes from one segment to the next, so no gradient is cut
    this.traits = { causal: true, padding: true, constantState: true, ...(memory > 0 && { backprop: segment }) }
    this.qkvProj = new Linear(dModel, 3 * nHeads * dHead, rng, projection)
    this.relProj = new Linear(dModel, nHeads * dHead, rng, projection)
    this.oProj = new Linear(nHeads * dHead, dModel, rng, projection)
    this.contentBias = biases.content
    this.positionBias = biases.position
  }

  initialState(batch: number): SegmentCache {
    const { zeroMemory = false, memory, dModel } = this.options
    return { memory: zeroMemory && memory > 0 ? constant([batch, memory, dModel], 0) : null, segment: null }
  }

  forward(x: Tensor, state?: SegmentCache, pass?: Pass): Mixed<SegmentCache> {
    const { B, T } = dims('RelativeAttention.forward x', x, 'B T D', { D: this.options.dModel })
    const apart = rowByRow(this, x, state, pass)
    if (apart !== null) return apart
    const left = ({ segment }: SegmentCache): number => this.options.segment - (segment?.shape[1] ?? 0)
    return bySegments(T, state ?? this.initialState(B), left, (tokens, open) => {
      // the state must not hold the caller's own tensor, which whoever frees the state would free with it
      const segment = extended(open.segment, clone(pieceOf(x, tokens, 1)))
      const context = extended(open.memory, segment)
      const y = this.attend(context, tokens.size, pass)
      return { y, state: tokens.size === left(open) ? this.remember(context) : { memory: open.memory, segment } }
    })
  }

  /** Lets the last `size` tokens of the context look at all of it. */
  private attend(context: Tensor, size: number, pass?: Pass): Tensor {
    const { nHeads: H, dHead: K, memory, sameLength } = this.options
    const [B, S] = context.shape as [number, number]
    const [queries, k, v] = split(this.qkvProj.forward(context), 3, 2).map((part) => reshape(part, [B, S, H, K])) as [
      Tensor,
      Tensor,
      Tensor,
    ]
    const q = slice(queries, [0, S - size, 0, 0], [B, size, H, K])
    const { o, lse } = softmaxAttention(
      { q: add(q, this.contentBias), k, v, bias: this.positionScores(q, S) },
      { causal: true, window: sameLength ? memory : 0 },
    )
    pass?.record?.record('logSumExp', lse)
    return this.oProj.forward(reshape(o, [B, size, H * K]))
  }

  /** `(q_i + v)·W_r R_{i-j}` for every query i and key j, `[B, H, T, S]`; keys ahead of a query hold no meaning. */
  private positionScores(q: Tensor, S: number): Tensor {
    const { nHeads: H, dHead: K, dModel, clampLength } = this.options
    const r = reshape(this.relProj.forward(distanceWaves(S, dModel, clampLength)), [1, S, H, K])
    const rows = transpose(add(q, this.positionBias), [0, 2, 1, 3]) // [B, H, T, K]
    const byDistance = mul(matMul(rows, transpose(r, [0, 2, 3, 1])), K ** -0.5) // [B, H, T, S]
    return shiftedByQuery(byDistance)
  }

  /** Ends the segment: its inputs, and what still fits of earlier ones, become memory. */
  private remember(context: Tensor): SegmentCache {
    const [B, S, D] = context.shape as [number, number, number]
    const size = Math.min(S, this.options.memory)
    if (size === 0) return { memory: null, segment: null }
    return { memory: stopGradient(slice(context, [0, S - size, 0], [B, size, D])), segment: null }
  }

  stateBytes(length: number): number {
    const { segment, memory, dModel, zeroMemory = false } = this.options
    const open = length % segment
    return 4 * dModel * ((zeroMemory ? memory : Math.min(length - open, memory)) + open)
  }
}
