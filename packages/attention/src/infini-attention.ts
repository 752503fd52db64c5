import {
  constant,
  dims,
  eluPlusOne,
  Linear,
  type LinearOptions,
  type Mixed,
  type MixerTraits,
  Module,
  type Pass,
  parameter,
  type Rng,
  Rotary,
  type RotaryOptions,
  refusePadding,
  rotary,
  type SequenceMixer,
  type State,
  softmaxAttention,
} from '@mneme/core-tensor'
import {
  add,
  concat,
  cos,
  div,
  matMul,
  maximum,
  mul,
  range,
  reshape,
  sigmoid,
  sin,
  slice,
  sub,
  sum,
  type Tensor,
  tensor1d,
  transpose,
  type Variable,
} from '@tensorflow/tfjs-core'
import { joined } from './key-cache.js'

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
export class InfiniAttention extends Module implements SequenceMixer<InfiniState> {
  readonly traits: MixerTraits = { causal: true, padding: false, constantState: true }
  readonly qProj: Linear
  readonly kProj: Linear
  readonly vProj: Linear
  readonly oProj: Linear
  /** g, before its sigmoid. */
  readonly gate: Variable
  /** Angle that each pair of features turns by in a token, where it is stored; not trained. */
  readonly frequencies: Variable | null
  private readonly rotary: Rotary | null

  constructor(
    private readonly options: InfiniAttentionOptions,
    rng: Rng,
  ) {
    super()
    const {
      dModel: D,
      nHeads: H,
      dHead: K,
      segment,
      rotary: positions,
      gateInit,
      projection = { bias: false },
    } = options
    if (!(Number.isInteger(segment) && segment >= 1)) {
      throw new RangeError(`InfiniAttention segment: expected a whole number of tokens, at least 1, got ${segment}.`)
    }
    this.qProj = new Linear(D, H * K, rng, projection)
    this.kProj = new Linear(D, H * K, rng, projection)
    this.vProj = new Linear(D, H * K, rng, projection)
    this.oProj = new Linear(H * K, D, rng, projection)
    this.gate = parameter(constant([H], gateInit))
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
    refusePadding('InfiniAttention.forward', pass)
    const { nHeads: H, dHead: K, segment } = this.options
    const { B, T } = dims('InfiniAttention.forward x', x, 'B T D', { D: this.options.dModel })
    const heads = (proj: Linear): Tensor => reshape(proj.forward(x), [B, T, H, K])
    const [q, k, v] = [heads(this.qProj), heads(this.kProj), heads(this.vProj)]
    const outputs: Tensor[] = []
    let current = state ?? this.initialState(B)
    for (let t = 0; t < T; ) {
      const size = Math.min(T - t, segment - (current.position % segment))
      const piece = (y: Tensor): Tensor => slice(y, [0, t, 0, 0], [B, size, H, K])
      const open = {
        ...current,
        keys: joined(current.keys, piece(k)),
        values: joined(current.values, piece(v)),
        position: current.position + size,
      }
      outputs.push(this.attend(piece(q), open, current.position))
      current = open.position % segment === 0 ? this.written(open) : open
      t += size
    }
    pass?.record?.record('memory', current.memory)
    const o = outputs.length === 1 ? (outputs[0] as Tensor) : concat(outputs, 1)
    return { y: this.oProj.forward(reshape(o, [B, T, H * K])), state: current }
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
    const angles = reshape(mul(times, this.frequencies), [1, T, K / 2])
    return rotary({ x, cos: cos(angles), sin: sin(angles) }, { layout: 'interleaved' }).y
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
