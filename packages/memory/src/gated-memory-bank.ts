import {
  bySegments,
  dims,
  equalParts,
  everyRow,
  extended,
  LayerNorm,
  Linear,
  type Mixed,
  type MixerTraits,
  Module,
  normal,
  type Pass,
  parameter,
  pieceOf,
  type Rng,
  relu,
  rowByRow,
  type SequenceMixer,
  type State,
  softmaxAttention,
  uniform,
  wholeNumber,
} from '@mneme/core-tensor'
import {
  add,
  cumsum,
  div,
  expandDims,
  eye,
  mul,
  range,
  reshape,
  sigmoid,
  slice,
  split,
  sum,
  type Tensor,
  tanh,
  type Variable,
} from '@tensorflow/tfjs-core'

export interface GatedMemoryBankOptions {
  readonly dModel: number
  readonly nHeads: number
  /** Slots of the bank, N, and tokens of a segment: token t of a segment rewrites slot t. */
  readonly slots: number
  /** `code`: that of the authors' program, with norms, a feed-forward and gates by averages. */
  readonly form: 'paper' | 'code'
}

export interface GatedMemoryBankState {
  readonly [name: string]: State
  /** What tokens of the open segment read, `[B, N, D]`. */
  readonly bank: Tensor
  /** Slots that they have rewritten for the next, `[B, ·, D]`; null before the first. */
  readonly rows: Tensor | null
  /** Sum of what the input gate averages over the open segment, `[B, D]`; null where there is none. */
  readonly seen: Tensor | null
}

/** One segment's tokens at hand, `[B, T, D]`, the slots they rewrite, and what they found in the bank. */
interface Found {
  readonly x: Tensor
  readonly slots: Tensor
  readonly found: Tensor
}

interface Written {
  readonly y: Tensor
  readonly rows: Tensor
  readonly seen: Tensor | null
}

/**
 * A bank of slots that tokens read by attention and rewrite through gates, a slot a token.
 *
 *   e = Attn(W_q x; W_k M, W_v M)
 *   paper:  y = σ(W_o e) ⊙ e,        M'_t = σ(W_i x) ⊙ tanh(e) + σ(W_f e) ⊙ M_t
 *   code:   y = M'_t,                 M'_t = i ⊙ tanh(m) + f ⊙ M_t,   m = LN(h + MLP(h)),   h = LN(M_t + e)
 *           (i, f) = σ(W tanh(M_t) + U mean_{s ≤ t} relu(w ⊙ x_s) + (0, 1)), and token t sees slots up to t
 *
 * M starts as the identity; after N tokens M' becomes M. State: M and the slots rewritten so far, `[B, up to 2 N, D]`;
 * bounded. A token costs O(N D + D²).
 * Paper: Kang et al. 2025, arXiv:2502.06049, section 2.
 * Differs: the program averages over the whole segment, tokens to come among them; here over those so far.
 */
export class GatedMemoryBank extends Module implements SequenceMixer<GatedMemoryBankState> {
  readonly traits: MixerTraits = { causal: true, padding: true, constantState: true }
  readonly qProj: Linear
  readonly kProj: Linear
  readonly vProj: Linear
  readonly write: PaperGates | CodeGates

  constructor(
    private readonly options: GatedMemoryBankOptions,
    rng: Rng,
  ) {
    super()
    const { dModel, nHeads, slots, form } = options
    wholeNumber('GatedMemoryBank slots', slots)
    equalParts('GatedMemoryBank nHeads', nHeads, 'dModel', dModel)
    const projection = { bias: form === 'code' }
    this.qProj = new Linear(dModel, dModel, rng, projection)
    this.kProj = new Linear(dModel, dModel, rng, projection)
    this.vProj = new Linear(dModel, dModel, rng, projection)
    this.write = form === 'code' ? new CodeGates(dModel, rng) : new PaperGates(dModel, rng)
  }

  initialState(batch: number): GatedMemoryBankState {
    const { slots, dModel } = this.options
    return { bank: everyRow(eye(slots, dModel), batch), rows: null, seen: null }
  }

  forward(x: Tensor, state?: GatedMemoryBankState, pass?: Pass): Mixed<GatedMemoryBankState> {
    const { slots, dModel } = this.options
    const { B, T, D } = dims('GatedMemoryBank.forward x', x, 'B T D', { D: dModel })
    const apart = rowByRow(this, x, state, pass)
    if (apart !== null) return apart
    const left = ({ rows }: GatedMemoryBankState): number => slots - (rows?.shape[1] ?? 0)
    const start = state ?? this.initialState(B)
    const mixed = bySegments<GatedMemoryBankState>(T, start, left, (tokens, { bank, rows: before, seen: past }) => {
      const filled = before?.shape[1] ?? 0
      const piece = pieceOf(x, tokens, 1)
      const found = this.read(piece, bank, filled)
      const reached = slice(bank, [0, filled, 0], [B, tokens.size, D])
      const { y, rows, seen } = this.write.forward({ x: piece, slots: reached, found }, past, filled)
      const all = extended(before, rows)
      const full = filled + tokens.size === slots
      return { y, state: full ? { bank: all, rows: null, seen: null } : { bank, rows: all, seen } }
    })
    pass?.record?.record('bank', mixed.state.bank)
    return mixed
  }

  /** What tokens find that come after `filled` others of their segment. */
  private read(x: Tensor, bank: Tensor, filled: number): Tensor {
    const { nHeads: H, dModel: D, form } = this.options
    const [B, T] = x.shape as [number, number]
    const causal = form === 'code'
    const visible = causal ? slice(bank, [0, 0, 0], [B, filled + T, D]) : bank
    const heads = (y: Tensor): Tensor => reshape(y, [B, -1, H, D / H])
    const [q, k, v] = [this.qProj.forward(x), this.kProj.forward(visible), this.vProj.forward(visible)].map(heads)
    const { o } = softmaxAttention({ q: q as Tensor, k: k as Tensor, v: v as Tensor }, { causal })
    return reshape(o, [B, T, D])
  }

  stateBytes(length: number): number {
    const { slots, dModel, form } = this.options
    const open = length % slots
    return 4 * dModel * (slots + open + (form === 'code' && open > 0 ? 1 : 0))
  }
}

/** Gates of output, input and forgetting, each a linear map. */
class PaperGates extends Module {
  readonly outputGate: Linear
  readonly inputGate: Linear
  readonly forgetGate: Linear

  constructor(dModel: number, rng: Rng) {
    super()
    const gate = (): Linear => new Linear(dModel, dModel, rng)
    this.outputGate = gate()
    this.inputGate = gate()
    this.forgetGate = gate()
  }

  forward({ x, slots, found }: Found): Written {
    const take = mul(sigmoid(this.inputGate.forward(x)), tanh(found))
    const keep = mul(sigmoid(this.forgetGate.forward(found)), slots)
    return { y: mul(sigmoid(this.outputGate.forward(found)), found), rows: add(take, keep), seen: null }
  }
}

/** Rounds of the feed-forward, all with the same weights. */
const ROUNDS = 2

class CodeGates extends Module {
  readonly firstNorm: LayerNorm
  readonly secondNorm: LayerNorm
  readonly mlp: Linear
  /** w, `[D]`. */
  readonly inputWeight: Variable
  /** Rows of the input gate, then of the forget gate. */
  readonly inputProj: Linear
  readonly memoryProj: Linear
  readonly inputBias: Variable
  readonly forgetBias: Variable

  constructor(dModel: number, rng: Rng) {
    super()
    const bound = (2 * dModel) ** -0.5
    const init = (_: Rng, shape: readonly number[]): Tensor => uniform(rng, shape, -bound, bound)
    const gates = (): Linear => new Linear(dModel, 2 * dModel, rng, { init, biasInit: init })
    this.firstNorm = new LayerNorm(dModel)
    this.secondNorm = new LayerNorm(dModel)
    this.mlp = new Linear(dModel, dModel, rng)
    this.inputWeight = parameter(normal(rng, [dModel], 1))
    this.inputProj = gates()
    this.memoryProj = gates()
    // one number each for all channels
    this.inputBias = parameter(uniform(rng, [1], 0, 0))
    this.forgetBias = parameter(uniform(rng, [1], 1, 1))
  }

  forward({ x, slots, found }: Found, seen: Tensor | null, filled: number): Written {
    const [, T, D] = x.shape as [number, number, number]
    const drive = relu(mul(x, this.inputWeight))
    const sums = seen === null ? cumsum(drive, 1) : add(cumsum(drive, 1), expandDims(seen, 1))
    const means = div(sums, reshape(range(filled + 1, filled + T + 1), [T, 1]))
    const gates = add(this.inputProj.forward(means), this.memoryProj.forward(tanh(slots)))
    const [i, f] = split(gates, [D, D], 2) as [Tensor, Tensor]
    const h = this.firstNorm.forward(add(slots, found))
    let mapped = h
    for (let round = 0; round < ROUNDS; round++) mapped = relu(this.mlp.forward(mapped))
    const m = this.secondNorm.forward(add(h, mapped))
    const take = mul(sigmoid(add(i, this.inputBias)), tanh(m))
    const rows = add(take, mul(sigmoid(add(f, this.forgetBias)), slots))
    const total = sum(drive, 1)
    return { y: rows, rows, seen: seen === null ? total : add(seen, total) }
  }
}
