import {
  everyRow,
  Linear,
  type LinearOptions,
  Module,
  normal,
  normalInit,
  parameter,
  type Rng,
  relu,
  softmaxAttention,
  type TokenMap,
} from '@mneme/core-tensor'
import { add, concat, mul, reshape, sigmoid, sub, type Tensor, tanh, type Variable } from '@tensorflow/tfjs-core'
import { Similarity, type SimilarityKind } from './similarity.js'

/** `fixed` and `projected` open the same way for every block, `lstm` and `full` by what is written. */
export type VectorGateKind = 'fixed' | 'lstm' | 'full' | 'projected'

export interface RecurrentVectorsOptions {
  readonly dModel: number
  readonly nHeads: number
  /** Heads of keys and values, of the vectors and of the tokens that they look at. */
  readonly nKvHeads: number
  readonly dHead: number
  /** Number of vectors, M. */
  readonly vectors: number
  /** `skip`: attention, gate. `dual`: attention, gate, feed-forward, gate. `single`: attention, feed-forward, gate. */
  readonly update: 'skip' | 'dual' | 'single'
  /** Inner width of the feed-forward. */
  readonly dInner: number
  readonly gate: VectorGateKind
  readonly similarity: SimilarityKind
  /** Makes the norms. */
  readonly norm: () => TokenMap
  readonly projection?: LinearOptions
}

/** Keys and values of something that is looked at, `[B, S, G, K]` each. */
export interface KeysAndValues {
  readonly keys: Tensor
  readonly values: Tensor
}

/**
 * How much of a vector c stays, and how much of a candidate y comes; h is what y was made of.
 *
 *   fixed:      σ(b) c + (1 − σ(b)) y
 *   lstm:       σ(W_f h + b_f + 1) c + σ(W_i h + b_i − 1) y
 *   full:       g c + (1 − g) y,   g = σ(W_g h + b_g + 1)
 *   projected:  (1 − σ(b)) c + σ(b) (W_z y + b_z)
 *
 * c, y `[B, M, D]`, b `[D]`, W_f, W_i, W_g `[D, F]`. Time O(M D F), fixed O(M D).
 * Paper: Hutchins et al. 2022, arXiv:2203.07852, section 3.2; the last two are those of a public re-implementation.
 */
export class VectorGate extends Module {
  readonly bias: Variable | null
  readonly keepProj: Linear | null
  readonly inputProj: Linear | null
  readonly outProj: Linear | null

  constructor(kind: VectorGateKind, dModel: number, dHidden: number, rng: Rng) {
    super()
    const learned = kind === 'lstm' || kind === 'full'
    const init = normalInit(Math.sqrt(0.1 / dHidden))
    const gate = (): Linear => new Linear(dHidden, dModel, rng, { init, biasInit: normalInit(0.1) })
    this.bias = learned ? null : parameter(normal(rng, [dModel], 0.1))
    this.keepProj = learned ? gate() : null
    this.inputProj = kind === 'lstm' ? gate() : null
    this.outProj = kind === 'projected' ? new Linear(dModel, dModel, rng) : null
  }

  /** c and y `[B, M, D]`, h `[B, M, F]`. */
  forward(c: Tensor, y: Tensor, h: Tensor): Tensor {
    if (this.keepProj) {
      const keep = sigmoid(add(this.keepProj.forward(h), 1))
      const take = this.inputProj ? sigmoid(sub(this.inputProj.forward(h), 1)) : sub(1, keep)
      return add(mul(c, keep), mul(y, take))
    }
    const open = sigmoid(this.bias as Variable)
    if (this.outProj) return add(c, mul(open, sub(this.outProj.forward(y), c)))
    return add(y, mul(open, sub(c, y)))
  }
}

/**
 * Vectors that tokens look at, and that look at themselves and at a finished block of tokens to become those of the next.
 *
 *   c' = norm(c) + p,   h = [Attn(W_q c'; W_k c', W_v c') ‖ Attn(W_x c'; keys and values of the block)]
 *   c ← G(c, W_o h, h)   and with `dual`   c ← G₂(c, W_2 u, u),   u = relu(W_1 norm(c))
 *   single:   c ← G(c, tanh(W_2 u), u),   u = relu(W_1 h)
 *
 * c `[B, M, D]`, p `[M, D]` learned; neither attention has a mask or positions. A write costs O(M (M + S) D).
 * Paper: Hutchins et al. 2022, arXiv:2203.07852, sections 3.1 and 3.2.
 */
export class RecurrentVectors extends Module {
  /** `[M, D]` */
  readonly initial: Variable
  /** `[M, D]`; without them all vectors would be one. */
  readonly positions: Variable
  readonly norm: TokenMap
  readonly kProj: Linear
  readonly vProj: Linear
  readonly selfProj: Linear
  readonly crossProj: Linear
  readonly selfSimilarity: Similarity
  readonly crossSimilarity: Similarity
  /** Columns: of each head, what it found among the vectors, then among the tokens. */
  readonly oProj: Linear | null
  readonly gate: VectorGate
  readonly mlpNorm: TokenMap | null
  readonly upProj: Linear | null
  readonly downProj: Linear | null
  readonly mlpGate: VectorGate | null

  constructor(
    readonly options: RecurrentVectorsOptions,
    rng: Rng,
  ) {
    super()
    const { dModel, nHeads, nKvHeads, dHead, vectors, update, dInner, gate, similarity, norm } = options
    const { projection = { bias: false } } = options
    const found = 2 * nHeads * dHead
    const linear = (from: number, to: number): Linear => new Linear(from, to, rng, projection)
    this.initial = parameter(normal(rng, [vectors, dModel], 0.1))
    this.positions = parameter(normal(rng, [vectors, dModel], 1))
    this.norm = norm()
    this.kProj = linear(dModel, nKvHeads * dHead)
    this.vProj = linear(dModel, nKvHeads * dHead)
    this.selfProj = linear(dModel, nHeads * dHead)
    this.crossProj = linear(dModel, nHeads * dHead)
    this.selfSimilarity = new Similarity(similarity, nHeads, dHead)
    this.crossSimilarity = new Similarity(similarity, nHeads, dHead)
    this.oProj = update === 'single' ? null : linear(found, dModel)
    this.gate = new VectorGate(gate, dModel, update === 'single' ? dInner : found, rng)
    this.mlpNorm = update === 'dual' ? norm() : null
    this.upProj = update === 'skip' ? null : linear(update === 'single' ? found : dModel, dInner)
    this.downProj = update === 'skip' ? null : linear(dInner, dModel)
    this.mlpGate = update === 'dual' ? new VectorGate(gate, dModel, dInner, rng) : null
  }

  /** The vectors before the first segment, `[B, M, D]`: learned, the same for every row. */
  initialState(batch: number): Tensor {
    return everyRow(this.initial, batch)
  }

  /** What tokens look at. */
  keysAndValues(c: Tensor): KeysAndValues {
    const ready = this.placed(c)
    return { keys: this.heads(this.kProj, ready), values: this.heads(this.vProj, ready) }
  }

  /** The vectors after a block; `own` are their keys and values, `tokens` those of the block, not scaled or turned. */
  write(c: Tensor, own: KeysAndValues, tokens: KeysAndValues): Tensor {
    const ready = this.placed(c)
    const look = (proj: Linear, similarity: Similarity, { keys, values }: KeysAndValues): Tensor => {
      const q = similarity.queries(this.heads(proj, ready))
      return softmaxAttention({ q, k: similarity.keys(keys), v: values }, { causal: false, scale: 1 }).o
    }
    const self = look(this.selfProj, this.selfSimilarity, own)
    const cross = look(this.crossProj, this.crossSimilarity, tokens)
    const h = reshape(concat([self, cross], 3), [c.shape[0] as number, this.options.vectors, -1])
    if (this.oProj === null) {
      const u = relu((this.upProj as Linear).forward(h))
      return this.gate.forward(c, tanh((this.downProj as Linear).forward(u)), u)
    }
    const mixed = this.gate.forward(c, this.oProj.forward(h), h)
    if (this.mlpGate === null) return mixed
    const u = relu((this.upProj as Linear).forward((this.mlpNorm as TokenMap).forward(mixed)))
    return this.mlpGate.forward(mixed, (this.downProj as Linear).forward(u), u)
  }

  private placed(c: Tensor): Tensor {
    return add(this.norm.forward(c), this.positions)
  }

  private heads(proj: Linear, x: Tensor): Tensor {
    const [B, M] = x.shape as [number, number]
    return reshape(proj.forward(x), [B, M, -1, this.options.dHead])
  }

  /** Bytes of one row. */
  stateBytes(): number {
    return 4 * this.options.vectors * this.options.dModel
  }
}
