import {
  affine,
  dims,
  equalParts,
  everyRow,
  FeedForward,
  gru,
  LayerNorm,
  Linear,
  linearUniform,
  type Memory,
  type Mixed,
  Module,
  normal,
  parameter,
  type Rng,
  softmaxAttention,
} from '@mneme/core-tensor'
import { add, concat, div, norm, reshape, split, type Tensor, tensor4d, type Variable } from '@tensorflow/tfjs-core'

export interface MemorySlotsOptions {
  readonly dModel: number
  readonly nHeads: number
  readonly slots: number
  /** `gru`: attention, a gated cell and a feed-forward. `normalised`: the attention's result with a bias, at length 1. */
  readonly writer: 'gru' | 'normalised'
  /** Rounds of one write of the `gru` kind, with the same weights. */
  readonly updates: number
  /** Divides the scores of a write; below 1 sharpens. */
  readonly temperature: number
  /** Inner width of the feed-forward. */
  readonly dInner: number
  /** False where slots are read by attention of others, so that there is none here. */
  readonly reads?: boolean
}

/** Tokens that a write takes in, `[B, L, D]`. */
export type SlotEntry = { readonly h: Tensor }

/**
 * Attention of one sequence to another, with biases in every map: `o_i = W_o Σ_j softmax_j(q_i·k_j / (τ √K)) v_j + b`, keys
 * and values one map, as the public implementation has them. x `[B, T, D]`, context `[B, S, D]`. Time O(T S D).
 */
export class CrossAttention extends Module {
  readonly qProj: Linear
  /** Rows of keys, then of values. */
  readonly kvProj: Linear
  readonly oProj: Linear

  constructor(
    dModel: number,
    private readonly nHeads: number,
    rng: Rng,
    private readonly temperature = 1,
  ) {
    super()
    equalParts('CrossAttention nHeads', nHeads, 'dModel', dModel)
    this.qProj = new Linear(dModel, dModel, rng)
    this.kvProj = new Linear(dModel, 2 * dModel, rng)
    this.oProj = new Linear(dModel, dModel, rng)
  }

  /** x `[B, T, D]` looks at context `[B, S, D]`; `bias` `[1, 1, T, S]` is added to the scores. */
  forward(x: Tensor, context: Tensor, bias?: Tensor): Tensor {
    const [B, T, D] = x.shape as [number, number, number]
    const heads = (y: Tensor): Tensor => reshape(y, [B, -1, this.nHeads, D / this.nHeads])
    const [k, v] = split(this.kvProj.forward(context), 2, 2).map(heads) as [Tensor, Tensor]
    const scale = (D / this.nHeads) ** -0.5 / this.temperature
    const { o } = softmaxAttention(
      { q: heads(this.qProj.forward(x)), k, v, ...(bias && { bias }) },
      { causal: false, scale },
    )
    return this.oProj.forward(reshape(o, [B, T, D]))
  }
}

/**
 * Gated recurrent cell over rows `[B, M, D]`, in PyTorch's order r, z, n: h' = (1 − z) n + z h. Time O(M D²). Source: Cho
 * et al. 2014, arXiv:1406.1078.
 */
export class GruCell extends Module {
  readonly weightIh: Variable
  readonly weightHh: Variable
  readonly biasIh: Variable
  readonly biasHh: Variable

  constructor(dModel: number, rng: Rng) {
    super()
    const drawn = (shape: readonly number[]): Variable => parameter(linearUniform(rng, shape, dModel))
    this.weightIh = drawn([3 * dModel, dModel])
    this.weightHh = drawn([3 * dModel, dModel])
    this.biasIh = drawn([3 * dModel])
    this.biasHh = drawn([3 * dModel])
  }

  /** x and h `[B, M, D]`. */
  forward(x: Tensor, h: Tensor): Tensor {
    const D = this.weightHh.shape[1] as number
    const projected = reshape(affine({ x, weight: this.weightIh, bias: this.biasIh }).y, [-1, 1, 3 * D])
    const after = gru({ projected, weight: this.weightHh, bias: this.biasHh, h0: reshape(h, [-1, D]) }).h
    return reshape(after, h.shape)
  }
}

/** Keeps a key out of a softmax. */
const MASKED = -1e30

/**
 * Slots that tokens read by attention, and that are each rewritten by attention over themselves and the tokens.
 *
 *   read x:   Attn(x; M)
 *   write h:  m̃_i = Attn(m_i; m_i, h)
 *     gru:         M_i ← m + FFN(LN m),   m = GRU(m̃_i, M_i)
 *     normalised:  M_i ← (m̃_i + b_i) / ‖m̃_i + b_i‖
 *
 * No slot sees another. State `[B, M, D]`, constant; a write of L tokens costs O(M L D).
 * Paper: Wu et al. 2020, arXiv:2010.06891, section 3.
 * Differs: the paper forgets by the normalised form; the gated one is that of the public implementation.
 */
export class MemorySlots extends Module implements Memory<Tensor, SlotEntry> {
  readonly reader: CrossAttention | null
  readonly writer: CrossAttention
  /** Slots at the start, `[M, D]`; of the normalised form, the bias that slots fall back to. */
  readonly initial: Variable
  readonly gru: GruCell | null
  readonly mlpNorm: LayerNorm | null
  readonly mlp: FeedForward | null

  constructor(
    private readonly options: MemorySlotsOptions,
    rng: Rng,
  ) {
    super()
    const { dModel, nHeads, slots, writer, updates, temperature, dInner, reads = true } = options
    if (!(slots >= 1 && updates >= 1)) {
      throw new RangeError(`MemorySlots: expected slots >= 1 and updates >= 1, got ${slots} and ${updates}.`)
    }
    this.reader = reads ? new CrossAttention(dModel, nHeads, rng) : null
    this.writer = new CrossAttention(dModel, nHeads, rng, temperature)
    this.initial = parameter(normal(rng, [slots, dModel], 1))
    const gated = writer === 'gru'
    this.gru = gated ? new GruCell(dModel, rng) : null
    this.mlpNorm = gated ? new LayerNorm(dModel) : null
    this.mlp = gated ? new FeedForward(dModel, dInner, rng) : null
  }

  /** The slots as they are learned, the same for every row, `[B, M, D]`; of length 1 where the writer keeps them so. */
  initialState(batch: number): Tensor {
    const start = this.gru === null ? unit(this.initial) : this.initial
    return everyRow(start, batch)
  }

  /** What the slots have for each query `[B, T, D]`. */
  read(state: Tensor, query: Tensor): Mixed<Tensor> {
    dims('MemorySlots.read query', query, 'B T D', { D: this.options.dModel })
    if (this.reader === null) throw new Error('MemorySlots.read: expected reads, got slots that others read.')
    return { y: this.reader.forward(query, state), state }
  }

  /** The slots after one segment more. */
  write(state: Tensor, { h }: SlotEntry): Tensor {
    const { L } = dims('MemorySlots.write h', h, 'B L D', { D: this.options.dModel })
    const alone = this.alone(L)
    if (this.gru === null) return unit(add(this.writer.forward(state, concat([state, h], 1), alone), this.initial))
    let slots = state
    for (let round = 0; round < this.options.updates; round++) {
      const mixed = this.gru.forward(this.writer.forward(slots, concat([slots, h], 1), alone), slots)
      slots = add(mixed, (this.mlp as FeedForward).forward((this.mlpNorm as LayerNorm).forward(mixed)))
    }
    return slots
  }

  /** Each slot sees itself, and every token: `[1, 1, M, M + L]`. */
  private alone(L: number): Tensor {
    const M = this.options.slots
    const open = Float32Array.from({ length: M * (M + L) }, (_, n) => {
      const [i, j] = [Math.floor(n / (M + L)), n % (M + L)]
      return j >= M || i === j ? 0 : MASKED
    })
    return tensor4d(open, [1, 1, M, M + L])
  }

  /** Bytes of the slots of one row. */
  stateBytes(): number {
    return 4 * this.options.slots * this.options.dModel
  }
}

const unit = (x: Tensor): Tensor => div(x, norm(x, 'euclidean', x.rank - 1, true))
