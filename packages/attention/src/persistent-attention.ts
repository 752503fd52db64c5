import {
  dims,
  extended,
  HeadMaps,
  type LinearOptions,
  type Mixed,
  type MixerTraits,
  normal,
  type Pass,
  parameter,
  type Rng,
  rowByRow,
  type SequenceMixer,
  shiftedByQuery,
  softmaxAttention,
  wholeNumber,
} from '@mneme/core-tensor'
import {
  concat,
  gather,
  matMul,
  mul,
  ones,
  pad,
  reshape,
  slice,
  type Tensor,
  tensor1d,
  transpose,
  type Variable,
  zerosLike,
} from '@tensorflow/tfjs-core'

export interface PersistentAttentionOptions {
  readonly dModel: number
  readonly nHeads: number
  readonly dHead: number
  /** Tokens seen before each, its own not among them. */
  readonly span: number
  /** Learned keys and values of each head; with none it is plain attention to the tokens before. */
  readonly slots: number
  readonly projection?: LinearOptions
}

export type PersistentState = {
  /** Keys of the last `span` tokens, `[B, up to span, H, K]`; null while empty. */
  readonly keys: Tensor | null
  readonly values: Tensor | null
}

/**
 * Attention to the tokens before and, in one softmax with them, to learned keys and values that take the place of a
 * feed-forward layer.
 *
 *   w_t = softmax([q_t·(k_j + u_{t−j}), √K q_t·P_n] / √K),   o_t = Σ_j w_tj v_j + √N Σ_n w_tn R_n
 *
 * j over the L = span tokens before t, which does not see itself; u `[L, K]` by distance, shared by heads, and by layers
 * that are given the same one; P, R `[H, N, K]` learned. State: keys and values of L tokens. Time O(T (L + N) H K).
 * Paper: Sukhbaatar et al. 2019, arXiv:1907.01470, section 4.
 * Differs: before the first token there is nothing, where the published code attends to zeros; gradients reach cached keys;
 * the span is fixed. Where there is nothing to see, the first token without slots, nothing is read.
 */
export class PersistentAttention extends HeadMaps implements SequenceMixer<PersistentState> {
  readonly traits: MixerTraits = { causal: true, padding: true, constantState: true }
  /** P, `[H, N, K]`; null without slots. */
  readonly slotKeys: Variable | null
  /** R, `[H, N, K]` */
  readonly slotValues: Variable | null
  /** u, of distances 1 to L. */
  readonly distanceKeys: Variable

  constructor(
    private readonly options: PersistentAttentionOptions,
    rng: Rng,
    distanceKeys?: Variable,
  ) {
    super('PersistentAttention', options, rng)
    const { nHeads: H, dHead: K, span, slots: N } = options
    wholeNumber('PersistentAttention span', span)
    wholeNumber('PersistentAttention slots', N, '', 0)
    this.slotKeys = N === 0 ? null : parameter(normal(rng, [H, N, K], K ** -0.5))
    this.slotValues = N === 0 ? null : parameter(normal(rng, [H, N, K], N ** -0.5))
    this.distanceKeys = distanceKeys ?? parameter(normal(rng, [span, K], 1))
  }

  initialState(): PersistentState {
    return { keys: null, values: null }
  }

  forward(x: Tensor, state: PersistentState = this.initialState(), pass?: Pass): Mixed<PersistentState> {
    const { dModel, nHeads: H, dHead: K, span, slots: N } = this.options
    const { B } = dims('PersistentAttention.forward x', x, 'B T D', { D: dModel })
    const apart = rowByRow(this, x, state, pass)
    if (apart !== null) return apart
    const q = this.heads(this.qProj, x)
    const keys = extended(state.keys, this.heads(this.kProj, x))
    const values = extended(state.values, this.heads(this.vProj, x))
    const S = keys.shape[1] as number
    // without the newest key every query stands one key further back than it is, and so does not see its own
    const seen = (slots: Tensor | null, scale: number, all: Tensor): Tensor => {
      const learned = slots && mul(transpose(slots, [1, 0, 2]), mul(ones([B, 1, 1, 1]), scale))
      const before = S > 1 ? slice(all, [0, 0, 0, 0], [B, S - 1, H, K]) : null
      return concat(
        [learned, before].filter((part) => part !== null),
        1,
      )
    }
    const found = (): Tensor =>
      softmaxAttention(
        {
          q,
          k: seen(this.slotKeys, K ** 0.5, keys),
          v: seen(this.slotValues, N ** 0.5, values),
          ...(S > 1 && { bias: this.distanceScores(q, S - 1) }),
        },
        { causal: true, window: span, sinks: N },
      ).o
    const kept = (all: Tensor): Tensor => (S <= span ? all : slice(all, [0, S - span, 0, 0], [B, span, H, K]))
    return {
      y: this.fromHeads(N === 0 && S === 1 ? zerosLike(q) : found()),
      state: { keys: kept(keys), values: kept(values) },
    }
  }

  /** q·u / √K of each query and the keys that it stands behind, `[B, H, T, N + S]`; slots have none. */
  private distanceScores(q: Tensor, S: number): Tensor {
    const { nHeads: H, dHead: K, span: L, slots: N } = this.options
    const [B, T] = q.shape as [number, number]
    // without its newest key each query stands at the key of distance 1
    const places = Int32Array.from({ length: S }, (_, c) => Math.min(L, S - c) - 1)
    const distances = gather(this.distanceKeys, tensor1d(places, 'int32'))
    const rows = mul(reshape(transpose(q, [0, 2, 1, 3]), [B * H * T, K]), K ** -0.5)
    const found = shiftedByQuery(reshape(matMul(rows, distances, false, true), [B, H, T, S]))
    return pad(found, [
      [0, 0],
      [0, 0],
      [0, 0],
      [N, 0],
    ])
  }

  stateBytes(length: number): number {
    const { nHeads: H, dHead: K, span } = this.options
    return 2 * 4 * H * K * Math.min(length, span)
  }
}
