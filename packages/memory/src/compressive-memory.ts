import {
  affine,
  bySegments,
  dims,
  distanceWaves,
  extended,
  Linear,
  type LinearOptions,
  linearUniform,
  type Mixed,
  type MixerTraits,
  Module,
  type Pass,
  parameter,
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
  max,
  mean,
  mul,
  pad,
  reshape,
  slice,
  split,
  squaredDifference,
  sum,
  type Tensor,
  transpose,
  type Variable,
} from '@tensorflow/tfjs-core'

export interface CompressiveMemoryOptions {
  readonly dModel: number
  readonly nHeads: number
  readonly dHead: number
  /** Tokens of a segment, L; at its end they become memory. */
  readonly segment: number
  /** Latest tokens remembered as they are. */
  readonly memory: number
  /** Slots of what older tokens are compressed to. */
  readonly compressed: number
  /** Tokens that go into one slot. */
  readonly rate: number
  readonly compression: 'max' | 'mean' | 'conv'
  /** Puts N mod c zeros in front of N rows, and drops what no slot is made of at the end, as a public port does. */
  readonly dropsTail?: boolean
  /** What other layers remember that share the table of positions, where it is not the same; its rows count on that. */
  readonly shared?: { readonly memory: number; readonly compressed: number }
  /** Cuts gradients between segments, as published; the convolution then learns from `reconstructionLoss` alone. */
  readonly cut: boolean
  readonly projection?: LinearOptions
  readonly outputBias?: boolean
}

/** Learned vectors for positions; layers may share them. */
export type MemoryPositions =
  /** `[H, segment + memory + compressed, K]`; counts from the oldest slot there is, so rows move while memories fill. */
  | { readonly table: Variable }
  /** u and v of Transformer-XL, `[H, K]` each, by which sines of the distance are scored. */
  | { readonly content: Variable; readonly position: Variable }

export interface CompressiveState {
  readonly [name: string]: State
  /** `[B, up to compressed, D]`; null while empty. */
  readonly compressed: Tensor | null
  /** Inputs of earlier segments, `[B, up to memory, D]`. */
  readonly memory: Tensor | null
  /** Inputs of the open segment. */
  readonly segment: Tensor | null
  /** Segments finished so far. */
  readonly segments: number
}

/**
 * Attention over the open segment, a cache of earlier inputs, and slots into which the inputs that leave that cache are
 * compressed.
 *
 *   o_i = Σ_{j ≤ i} softmax_j(q_i·k_j / √K + p_{i-j}) v_j   over [cm; m; h]
 *   cm ← last n_cm of [cm; f(old)],   m ← last n_m of [m; h]   at the end of a segment, old the rows of [m; h] that fall out
 *
 * f makes one slot of every c rows: their maximum, their mean, or W * old + b with W `[D, D, c]`, stride c; zeros stand
 * in front where c does not divide them. A slot counts as one position. State: at most n_cm + n_m + L - 1 rows `[B, ·, D]`.
 * Time O(T (L + n_m + n_cm) D).
 * Paper: Rae et al. 2019, arXiv:1911.05507, section 3.
 */
export class CompressiveMemory extends Module implements SequenceMixer<CompressiveState> {
  readonly traits: MixerTraits
  readonly qProj: Linear
  /** Rows of keys, then of values. */
  readonly kvProj: Linear
  readonly oProj: Linear
  readonly relProj: Linear | null
  readonly positionTable: Variable | null
  readonly contentBias: Variable | null
  readonly positionBias: Variable | null
  /** `[D out, D in, c]` */
  readonly convWeight: Variable | null
  readonly convBias: Variable | null

  constructor(
    private readonly options: CompressiveMemoryOptions,
    positions: MemoryPositions,
    rng: Rng,
  ) {
    super()
    const { dModel, nHeads, dHead, segment, memory, compressed, rate, compression, cut } = options
    const { projection = { bias: false }, outputBias = false } = options
    if (!(segment >= 1 && memory >= 0 && compressed >= 0 && rate >= 1)) {
      throw new RangeError(
        `CompressiveMemory: expected segment >= 1, memory >= 0, compressed >= 0 and rate >= 1, got ${segment}, ${memory}, ${compressed} and ${rate}.`,
      )
    }
    const crosses = memory > 0 || compressed > 0
    this.traits = { causal: true, padding: true, constantState: true, ...(cut && crosses && { backprop: segment }) }
    const width = nHeads * dHead
    this.qProj = new Linear(dModel, width, rng, projection)
    this.kvProj = new Linear(dModel, 2 * width, rng, projection)
    this.oProj = new Linear(width, dModel, rng, { ...projection, bias: outputBias })
    const table = 'table' in positions
    this.relProj = table ? null : new Linear(dModel, width, rng, projection)
    this.positionTable = table ? positions.table : null
    this.contentBias = table ? null : positions.content
    this.positionBias = table ? null : positions.position
    const learned = compression === 'conv' && compressed > 0
    this.convWeight = learned ? parameter(linearUniform(rng, [dModel, dModel, rate], dModel * rate)) : null
    this.convBias = learned ? parameter(linearUniform(rng, [dModel], dModel * rate)) : null
  }

  initialState(): CompressiveState {
    return { compressed: null, memory: null, segment: null, segments: 0 }
  }

  forward(x: Tensor, state: CompressiveState = this.initialState(), pass?: Pass): Mixed<CompressiveState> {
    const { T } = dims('CompressiveMemory.forward x', x, 'B T D', { D: this.options.dModel })
    const apart = rowByRow(this, x, state, pass)
    if (apart !== null) return apart
    const left = ({ segment }: CompressiveState): number => this.options.segment - (segment?.shape[1] ?? 0)
    return bySegments(T, state, left, (tokens, before) => {
      // the state must not hold the caller's own tensor, which whoever frees the state would free with it
      const segment = extended(before.segment, clone(pieceOf(x, tokens, 1)))
      const open = { ...before, segment }
      const y = this.attend(extended(before.compressed, extended(before.memory, segment)), open, tokens.size, pass)
      return { y, state: tokens.size === left(before) ? this.close(open, segment, pass) : open }
    })
  }

  /** Lets the last `size` tokens of the context look at all of it. */
  private attend(context: Tensor, state: CompressiveState, size: number, pass?: Pass): Tensor {
    const { nHeads: H, dHead: K } = this.options
    const [B, S, D] = context.shape as [number, number, number]
    const present = size === S ? context : slice(context, [0, S - size, 0], [B, size, D])
    const q = reshape(this.qProj.forward(present), [B, size, H, K])
    const [k, v] = this.keysAndValues(this.kvProj.forward(context))
    const { o, lse } = softmaxAttention(
      { q: this.contentBias ? add(q, this.contentBias) : q, k, v, bias: this.positionScores(q, S, state) },
      { causal: true },
    )
    pass?.record?.record('logSumExp', lse)
    return this.oProj.forward(reshape(o, [B, size, H * K]))
  }

  private keysAndValues(projected: Tensor): [Tensor, Tensor] {
    const { nHeads: H, dHead: K } = this.options
    const [B, S] = projected.shape as [number, number]
    return split(projected, 2, 2).map((part) => reshape(part, [B, S, H, K])) as [Tensor, Tensor]
  }

  /** What the distance of each query and key adds to their score, `[B, H, T, S]`. */
  private positionScores(q: Tensor, S: number, state: CompressiveState): Tensor {
    const { nHeads: H, dHead: K, dModel } = this.options
    const rows = transpose(this.positionBias ? add(q, this.positionBias) : q, [0, 2, 1, 3]) // [B, H, T, K]
    const r = this.positionTable
      ? slice(this.positionTable, [0, this.tableEnd(state) - S, 0], [H, S, K])
      : transpose(reshape((this.relProj as Linear).forward(distanceWaves(S, dModel)), [S, H, K]), [1, 0, 2])
    return shiftedByQuery(mul(matMul(rows, reshape(r, [1, H, S, K]), false, true), K ** -0.5))
  }

  /** The row after that of distance 0. */
  private tableEnd({ compressed, memory, segments }: CompressiveState): number {
    const { segment, shared } = this.options
    if (shared) return segment + this.rows(segments, shared)
    return segment + (compressed?.shape[1] ?? 0) + (memory?.shape[1] ?? 0)
  }

  /** Ends the segment h: it becomes memory, and what memory cannot hold is compressed. */
  private close(state: CompressiveState, h: Tensor, pass?: Pass): CompressiveState {
    const { memory: size, compressed: slots } = this.options
    const rows = extended(state.memory, h)
    const [B, S, D] = rows.shape as [number, number, number]
    const held = Math.min(S, size)
    const memory = held === 0 ? null : this.carried(slice(rows, [0, S - held, 0], [B, held, D]))
    const next = { compressed: state.compressed, memory, segment: null, segments: state.segments + 1 }
    if (S === held || slots === 0 || this.grouped(S - held).slots === 0) return next
    const old = this.carried(slice(rows, [0, 0, 0], [B, S - held, D]))
    const made = this.compress(old)
    pass?.record?.record('reconstruction', this.reconstructionLoss(h, old, made))
    const all = extended(state.compressed, this.carried(made))
    const N = all.shape[1] as number
    return { ...next, compressed: N <= slots ? all : slice(all, [0, N - slots, 0], [B, slots, D]) }
  }

  private carried(x: Tensor): Tensor {
    return this.options.cut ? stopGradient(x) : x
  }

  /** Slots that N rows become, and zeros in front of them. */
  private grouped(N: number): { slots: number; front: number } {
    const { rate, dropsTail = false } = this.options
    if (dropsTail) return { slots: Math.floor((N + (N % rate)) / rate), front: N % rate }
    const slots = Math.ceil(N / rate)
    return { slots, front: slots * rate - N }
  }

  /** One slot of every c rows: `[B, N, D]` to `[B, ⌈N / c⌉, D]`. */
  compress(old: Tensor): Tensor {
    const { rate, compression } = this.options
    const [B, N, D] = old.shape as [number, number, number]
    const { slots, front } = this.grouped(N)
    const padded =
      front === 0
        ? old
        : pad(old, [
            [0, 0],
            [front, 0],
            [0, 0],
          ])
    const whole = slice(padded, [0, 0, 0], [B, slots * rate, D])
    const groups = reshape(whole, [B, slots, rate, D])
    if (compression === 'max') return max(groups, 2)
    if (this.convWeight === null || this.convBias === null) return mean(groups, 2)
    const weight = reshape(transpose(this.convWeight, [0, 2, 1]), [D, rate * D])
    return affine({ x: reshape(groups, [B, slots, rate * D]), weight, bias: this.convBias }).y
  }

  /**
   * How differently h attends to the old rows and to the slots they became, squared and summed for each row, `[B]`: by
   * content alone, with no mask. Its gradient goes into the compression only.
   */
  reconstructionLoss(h: Tensor, old: Tensor, slots: Tensor): Tensor {
    const { nHeads: H, dHead: K } = this.options
    const [B, T] = h.shape as [number, number]
    const q = stopGradient(reshape(this.qProj.forward(h), [B, T, H, K]))
    const { weight, bias } = this.kvProj
    const attend = (x: Tensor): Tensor => {
      const projected = affine({ x, weight: stopGradient(weight), ...(bias && { bias: stopGradient(bias) }) }).y
      const [k, v] = this.keysAndValues(projected)
      return softmaxAttention({ q, k, v }, { causal: false }).o
    }
    return sum(squaredDifference(attend(slots), stopGradient(attend(stopGradient(old)))), [1, 2, 3])
  }

  stateBytes(length: number): number {
    const { dModel, segment } = this.options
    return 4 * dModel * (this.rows(Math.floor(length / segment), this.options) + (length % segment))
  }

  /** Rows of memory and slots after so many segments. */
  private rows(segments: number, { memory, compressed }: { memory: number; compressed: number }): number {
    const { segment } = this.options
    // the first segment that does not fit, and how many rows fall out then; from there on a whole segment each time
    const first = Math.floor(memory / segment) + 1
    const later = Math.max(0, segments - first) * this.grouped(segment).slots
    const made = segments < first ? 0 : this.grouped(first * segment - memory).slots + later
    return Math.min(made, compressed) + Math.min(segments * segment, memory)
  }
}
