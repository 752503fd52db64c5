import {
  dims,
  Embedding,
  gapsOf,
  HeadMaps,
  type LinearOptions,
  type Mixed,
  type MixerTraits,
  type Pass,
  positionsOf,
  type Rng,
  type SequenceMixer,
  softmaxAttention,
} from '@mneme/core-tensor'
import {
  add,
  cast,
  cumsum,
  gather,
  matMul,
  mul,
  range,
  reshape,
  slice,
  sub,
  type Tensor,
  transpose,
  zeros,
} from '@tensorflow/tfjs-core'

export interface EncoderAttentionOptions {
  readonly dModel: number
  readonly nHeads: number
  readonly dHead: number
  /** Scores that depend on distance, for sequences of up to so many tokens: of the query alone, or of the key too. */
  readonly distances: {
    readonly positions: number
    readonly std: number
    readonly of: 'query' | 'query and key'
  } | null
  readonly projection?: LinearOptions
}

/**
 * Softmax attention both ways: every token to all of its sequence.
 *
 *   o_i = Σ_j softmax_j((q_i·k_j + q_i·e_{i-j} + k_j·e_{i-j}) / √K) v_j
 *
 * e a table `[2P - 1, K]` by distance, which heads share; without it the last two terms are not there. Padding is never
 * looked at, documents see themselves. A call is a sequence: no state. Time O(T² H K).
 * Paper: Devlin et al. 2018, arXiv:1810.04805, section 3; distances: Shaw et al. 2018, arXiv:1803.02155, section 3.2, and
 * Huang et al. 2020, arXiv:2009.13658, section 4.
 */
export class EncoderAttention extends HeadMaps implements SequenceMixer<null> {
  readonly traits: MixerTraits = { causal: false, padding: true, constantState: true }
  readonly distances: Embedding | null

  constructor(
    private readonly options: EncoderAttentionOptions,
    rng: Rng,
  ) {
    const { dHead, distances } = options
    // what adds the same to all scores of a query changes no weight
    super('EncoderAttention', { ...options, keyBiasTrainable: distances?.of === 'query and key' }, rng)
    this.distances = distances && new Embedding(2 * distances.positions - 1, dHead, rng, distances.std)
  }

  initialState(): null {
    return null
  }

  forward(x: Tensor, _state?: null, pass?: Pass): Mixed<null> {
    const { B, T } = dims('EncoderAttention.forward x', x, 'B T D', { D: this.options.dModel })
    const [q, k, v] = [this.heads(this.qProj, x), this.heads(this.kProj, x), this.heads(this.vProj, x)]
    const gaps = gapsOf('EncoderAttention.forward', pass, B, T)
    const documents = gaps && pass?.resets ? cumsum(gaps.starts, 1) : null
    const positions = gaps ? cast(positionsOf(gaps, zeros([B, 1])).positions, 'float32') : null
    const { o } = softmaxAttention(
      {
        q,
        k,
        v,
        ...(this.distances && { bias: this.byDistance(q, k, positions) }),
        ...(pass?.mask && { keyMask: pass.mask }),
        ...(documents && { queryDocuments: documents, keyDocuments: documents }),
      },
      { causal: false },
    )
    pass?.record?.record('queries', q)
    pass?.record?.record('keys', k)
    return { y: this.fromHeads(o), state: null }
  }

  /** What distances add to the scores, `[B, H, T, T]`; positions `[B, T]`, null where they are those of the tokens. */
  private byDistance(q: Tensor, k: Tensor, positions: Tensor | null): Tensor {
    const [B, T, H, K] = q.shape as [number, number, number, number]
    const { positions: P, of } = this.options.distances as NonNullable<EncoderAttentionOptions['distances']>
    if (T > P) throw new RangeError(`EncoderAttention.forward: expected at most ${P} tokens, got ${T}.`)
    const R = 2 * T - 1
    const table = slice((this.distances as Embedding).weight, [P - T, 0], [R, K])
    const places = positions ?? add(zeros([B, T]), range(0, T))
    // the row of i - j, at [b, i, j]
    const distance = add(sub(reshape(places, [B, T, 1]), reshape(places, [B, 1, T])), T - 1)
    const starts = mul(reshape(range(0, B * T), [B, T]), R)
    const scores = (x: Tensor, first: Tensor): Tensor => {
      const all = reshape(matMul(reshape(x, [B * T * H, K]), table, false, true), [B, T, H, R])
      const rows = reshape(transpose(all, [0, 1, 3, 2]), [B * T * R, H])
      const chosen = gather(rows, reshape(cast(add(first, distance), 'int32'), [B * T * T]))
      return transpose(reshape(chosen, [B, T, T, H]), [0, 3, 1, 2])
    }
    const ofQueries = scores(q, reshape(starts, [B, T, 1]))
    const total = of === 'query' ? ofQueries : add(ofQueries, scores(k, reshape(starts, [B, 1, T])))
    return mul(total, K ** -0.5)
  }

  stateBytes(): number {
    return 0
  }
}
