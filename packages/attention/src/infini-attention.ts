import {
  bySegments,
  constant,
  cosSin,
  dims,
  eluPlusOne,
  extended,
  HeadMaps,
  type LinearOptions,
  type Mixed,
  type MixerTraits,
  type Pass,
  parameter,
  pieceOf,
  type Rng,
  Rotary,
  type RotaryOptions,
  rotary,
  rowByRow,
  type SequenceMixer,
  type State,
  softmaxAttention,
  timesOf,
  wholeNumber,
} from '@mneme/core-tensor'
import {
  add,
  div,
  matMul,
  maximum,
  mul,
  range,
  reshape,
  sigmoid,
  sub,
  sum,
  type Tensor,
  tensor1d,
  transpose,
  type Variable,
} from '@tensorflow/tfjs-core'

export interface InfiniAttentionOptions {
  readonly dModel: number
  readonly nHeads: number
  readonly dHead: number
  /** Tokens of a segment; at its end they are written to memory. */
  readonly segment: number
  /** Whether what the memory already gives for a key is taken off the value that is written. */
  readonly deltaRule: boolean
  /** Positions within a segment; `stored` turns all of a head, in pairs, by frequencies that a checkpoint holds. */
  readonly rotary: RotaryOptions | 'stored' | null
  /** What the sigmoid of the gate multiplies; the paper has it at the memory, a public port at the local attention. */
  readonly gateOn: 'memory' | 'local'
  /** Whether the first segment, which has no memory, is gated like the others; not in the port. */
  readonly gateFirst: boolean
  /** Initial gate of every head. */
  readonly gateInit: number
  readonly projection?: LinearOptions
}

export interface InfiniState {
  readonly [name: string]: State
  /** Σ φ(k) vᵀ, `[B, H, K, K]` */
  readonly memory: Tensor
  /** Σ φ(k), `[B, H, K]` */
  readonly normaliser: Tensor
  /** Keys of the open segment, not turned, `[B, ·, H, K]`; null before its first token. */
  readonly keys: Tensor | null
  readonly values: Tensor | null
  readonly position: number
}

/** Below this a sum of features is nothing. */
const LEAST = 1e-10

/**
 * Softmax attention within a segment, and linear attention to a memory of all segments before it, mixed by a gate.
 *
 *   A_mem = φ(Q) M / (φ(Q) z),   A_loc = causal softmax(Q Kᵀ / √K) V,   A = σ(g) ⊙ A_mem + (1 − σ(g)) ⊙ A_loc
 *   at the end of a segment:   M ← M + φ(K)ᵀ (V − φ(K) M / (φ(K) z)),   z ← z + Σ φ(k)
 *
 * φ = ELU + 1, g `[H]` learned; without `deltaRule` V is written as it is. Positions count within the segment, and memory
 * has none. State: M `[B, H, K, K]`, z, and the keys and values of the open segment; bounded. Time O(T (L + K) K) a head.
 * Paper: Munkhdalai et al. 2024, arXiv:2404.07143, section 2.
 */
export class InfiniAttention extends HeadMaps implements SequenceMixer<InfiniState> {
  readonly traits: MixerTraits = { causal: true, padding: true, constantState: true }
  /** g, before its sigmoid. */
  readonly gate: Variable
  /** Angle that each pair of features turns by in a token, where it is stored; not trained. */
  readonly frequencies: Variable | null
  private readonly rotary: Rotary | null

  constructor(
    private readonly options: InfiniAttentionOptions,
    rng: Rng,
  ) {
    super('InfiniAttention', options, rng)
    const { nHeads: H, dHead: K, segment, rotary: positions, gateInit } = options
    wholeNumber('InfiniAttention segment', segment, 'tokens')
    this.gate = parameter(constant([H], gateInit))
    if (positions === 'stored') timesOf('InfiniAttention dHead', K, 'the features of a pair', 2)
    const frequencies = Float32Array.from({ length: K / 2 }, (_, m) => 10000 ** ((-2 * m) / K))
    this.frequencies = positions === 'stored' ? parameter(tensor1d(frequencies), false) : null
    this.rotary = positions === 'stored' || positions === null ? null : new Rotary(positions)
  }

  initialState(batch: number): InfiniState {
    const { nHeads: H, dHead: K } = this.options
    return {
      memory: constant([batch, H, K, K], 0),
      normaliser: constant([batch, H, K], 0),
      keys: null,
      values: null,
      position: 0,
    }
  }

  forward(x: Tensor, state?: InfiniState, pass?: Pass): Mixed<InfiniState> {
    const { dModel, segment } = this.options
    const { B, T } = dims('InfiniAttention.forward x', x, 'B T D', { D: dModel })
    const apart = rowByRow(this, x, state, pass)
    if (apart !== null) return apart
    const [q, k, v] = [this.heads(this.qProj, x), this.heads(this.kProj, x), this.heads(this.vProj, x)]
    const left = ({ position }: InfiniState): number => segment - (position % segment)
    const { y: o, state: after } = bySegments<InfiniState>(T, state ?? this.initialState(B), left, (tokens, before) => {
      const open = {
        ...before,
        keys: extended(before.keys, pieceOf(k, tokens, 1)),
        values: extended(before.values, pieceOf(v, tokens, 1)),
        position: before.position + tokens.size,
      }
      const y = this.attend(pieceOf(q, tokens, 1), open, before.position)
      return { y, state: open.position % segment === 0 ? this.written(open) : open }
    })
    pass?.record?.record('memory', after.memory)
    return { y: this.fromHeads(o), state: after }
  }

  /** Queries of the newest tokens of the open segment. `[B, T, H, K]` */
  private attend(q: Tensor, { keys, values, memory, normaliser }: Open, position: number): Tensor {
    const { nHeads: H, segment, gateOn, gateFirst } = this.options
    const local = softmaxAttention({ q: this.turned(q, position % segment), k: this.turned(keys, 0), v: values }).o
    const first = position < segment
    if (first && !gateFirst) return local
    const opened = reshape(sigmoid(this.gate), [1, 1, H, 1])
    const [onMemory, onLocal] = gateOn === 'memory' ? [opened, sub(1, opened)] : [sub(1, opened), opened]
    if (first) return mul(onLocal, local)
    const recalled = headsFirst(recall(eluPlusOne(headsFirst(q)), memory, normaliser))
    return add(mul(onMemory, recalled), mul(onLocal, local))
  }

  /** Ends the segment: it goes to memory, and its keys and values go. */
  private written({ keys, values, memory, normaliser, position }: Open): InfiniState {
    const features = eluPlusOne(headsFirst(keys))
    const v = headsFirst(values)
    const news = this.options.deltaRule ? sub(v, recall(features, memory, normaliser)) : v
    return {
      memory: add(memory, matMul(features, news, true, false)),
      normaliser: add(normaliser, sum(features, 2)),
      keys: null,
      values: null,
      position,
    }
  }

  private turned(x: Tensor, position: number): Tensor {
    if (this.frequencies === null) return this.rotary === null ? x : this.rotary.forward(x, position)
    const [, T, , K] = x.shape as [number, number, number, number]
    const times = reshape(range(position, position + T), [T, 1])
    const angle = reshape(mul(times, this.frequencies), [1, T, K / 2])
    return rotary({ x, ...cosSin({ angle }) }, { layout: 'interleaved' }).y
  }

  stateBytes(length: number): number {
    const { nHeads: H, dHead: K, segment } = this.options
    return 4 * H * K * (K + 1 + 2 * (length % segment))
  }
}

type Open = Omit<InfiniState, 'keys' | 'values'> & {
  readonly keys: Tensor
  readonly values: Tensor
  readonly memory: Tensor
  readonly normaliser: Tensor
  readonly position: number
}

const headsFirst = (x: Tensor): Tensor => transpose(x, [0, 2, 1, 3])

/** What memory holds under features `[B, H, T, K]`. */
function recall(features: Tensor, memory: Tensor, normaliser: Tensor): Tensor {
  const [B, H, , K] = features.shape as [number, number, number, number]
  const weights = sum(mul(features, reshape(normaliser, [B, H, 1, K])), -1, true)
  return div(matMul(features, memory), maximum(weights, LEAST))
}
