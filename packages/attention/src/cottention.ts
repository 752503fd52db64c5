import {
  atTokens,
  constant,
  counted,
  dims,
  gapsOf,
  gatedLinearAttention,
  HeadMaps,
  type LinearOptions,
  type Mixed,
  type MixerTraits,
  noTokens,
  type Pass,
  parameter,
  type Rng,
  Rotary,
  type RotaryOptions,
  type SequenceMixer,
  type TokenCount,
  turnedAt,
} from '@mneme/core-tensor'
import {
  cast,
  cumsum,
  div,
  einsum,
  exp,
  log,
  maximum,
  mul,
  neg,
  ones,
  reshape,
  sigmoid,
  sqrt,
  square,
  sub,
  sum,
  type Tensor,
  type Variable,
} from '@tensorflow/tfjs-core'

export interface CottentionOptions {
  readonly dModel: number
  readonly nHeads: number
  readonly dHead: number
  /** Applied before queries and keys are brought to length 1. */
  readonly rotary: RotaryOptions | null
  /** Tokens a block of matrix products; changes cost, not results. */
  readonly chunk: number
  readonly projection?: LinearOptions
}

export type CottentionState = TokenCount & {
  /** Σ k̂ v̂ᵀ, `[B, H, K, K]` */
  readonly memory: Tensor
}

/**
 * Cosine attention: scores are cosines of queries and keys, without a softmax, so that sums over keys stand for the keys.
 *
 *   S_t = S_{t-1} + k̂_t v̂_tᵀ,   o_t = S_tᵀ q̂_t,   q̂ = q/|q|,   k̂ = k/|k|,   v̂_t = v_t / n_t^a,   a = sigmoid(c)
 *
 * n_t the number of tokens up to t, c `[H]` learned. The divisor belongs to the value's own position. State S
 * `[B, H, K, K]` and a count, constant in T. Time O(T K²) a head, in chunks of matrix products.
 * Paper: Mongaras et al. 2024, arXiv:2409.18747, section 3.
 */
export class Cottention extends HeadMaps implements SequenceMixer<CottentionState> {
  readonly traits: MixerTraits = { causal: true, padding: true, constantState: true }
  /** c, of the exponent of the count. */
  readonly normConst: Variable
  private readonly rotary: Rotary | null

  constructor(
    private readonly options: CottentionOptions,
    rng: Rng,
  ) {
    super('Cottention', options, rng)
    this.normConst = parameter(constant([options.nHeads], 0.5))
    this.rotary = options.rotary === null ? null : new Rotary(options.rotary)
  }

  initialState(batch: number): CottentionState {
    const { nHeads: H, dHead: K } = this.options
    return { memory: constant([batch, H, K, K], 0), ...noTokens }
  }

  forward(x: Tensor, state?: CottentionState, pass?: Pass): Mixed<CottentionState> {
    const { dModel, chunk } = this.options
    const { B, T } = dims('Cottention.forward x', x, 'B T D', { D: dModel })
    const before = state ?? this.initialState(B)
    const gaps = gapsOf('Cottention.forward', pass, B, T)
    const { counts, positions, next } = counted(before, gaps, B, T)
    const turn = (y: Tensor): Tensor => turnedAt(this.rotary, y, before.position, positions)
    const { o, state: memory } = gatedLinearAttention(
      {
        q: cosine(turn(this.heads(this.qProj, x))),
        k: atTokens(cosine(turn(this.heads(this.kProj, x))), gaps),
        v: mul(this.heads(this.vProj, x), this.shares(counts)),
        ...(gaps && { resets: gaps.starts }),
        state: before.memory,
      },
      { chunk, scale: 1 },
    )
    pass?.record?.record('memory', memory)
    return { y: this.fromHeads(o), state: { memory, ...next } }
  }

  /** All tokens to all, values divided by the number of tokens; mask `[B, T]` is 1 for those that are seen. */
  bidirectional(x: Tensor, mask?: Tensor): Tensor {
    const { B, T } = dims('Cottention.bidirectional x', x, 'B T D', { D: this.options.dModel })
    const tokens = mask ?? ones([B, T])
    const positions = cast(maximum(sub(cumsum(tokens, 1), 1), 0), 'int32')
    const turn = (y: Tensor): Tensor => this.rotary?.forwardAt(y, positions, T) ?? y
    const seen = reshape(tokens, [B, T, 1, 1])
    const v = mul(this.heads(this.vProj, x), this.shares(reshape(sum(tokens, 1), [B, 1, 1])))
    const memory = einsum('bthk,bthv->bhkv', mul(cosine(turn(this.heads(this.kProj, x))), seen), v)
    return this.fromHeads(einsum('bthk,bhkv->bthv', cosine(turn(this.heads(this.qProj, x))), memory))
  }

  /** n^-a of counts `[B or 1, T, 1]`, a head: `[B or 1, T, H, 1]`. */
  private shares(counts: Tensor): Tensor {
    const [B, T] = counts.shape as [number, number]
    const logs = reshape(log(maximum(counts, 1)), [B, T, 1, 1])
    return exp(mul(logs, reshape(neg(sigmoid(this.normConst)), [1, 1, -1, 1])))
  }

  stateBytes(): number {
    const { nHeads: H, dHead: K } = this.options
    return 4 * H * K * K
  }
}

/** x / |x|, where |x| is not all but nothing. */
const cosine = (x: Tensor): Tensor => div(x, sqrt(maximum(sum(square(x), -1, true), 1e-24)))
