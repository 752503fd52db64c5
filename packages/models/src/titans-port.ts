import {
  dims,
  FLOAT_EPSILON,
  Linear,
  type Mixed,
  type MixerTraits,
  Module,
  normal,
  type Pass,
  parameter,
  RMSNorm,
  type Rng,
  rowByRow,
  type SequenceMixer,
  silu,
} from '@mneme/core-tensor'
import {
  PooledNeuralMemory,
  type PooledNeuralMemoryOptions,
  type PooledNeuralMemoryState,
} from '@mneme/memory/pooled-neural-memory'
import {
  add,
  concat,
  expandDims,
  gather,
  mul,
  sigmoid,
  slice,
  split,
  type Tensor,
  tensor1d,
  tensor2d,
  tile,
  type Variable,
} from '@tensorflow/tfjs-core'
import { type KeysAndValues, WindowAttention } from './titans-window-attention.js'

export interface PortOptions {
  readonly dModel: number
  readonly nLayers: number
  /** Heads of the attention, and their width. */
  readonly nHeads: number
  readonly dHead: number
  /** Inner width of the feed-forward. */
  readonly dInner: number
  /** Tokens of a segment. */
  readonly segment: number
  /** Long-term tokens put behind each segment that another token follows. */
  readonly longterm: number
  readonly persistent: number
  readonly ropeBase: number
  readonly sliding: boolean
  /** Whether what a memory recalls gates the output of attention rather than being added to the stream. */
  readonly gateAttention: boolean
  /** Layers that have a memory, counted from 0. */
  readonly memoryLayers: readonly number[]
  /** Whether memories after the first take their gradients at weights that the one before adds to. */
  readonly weightResidual: boolean
  readonly memory: Omit<PooledNeuralMemoryOptions, 'dModel' | 'weightResidual'>
}

type LayerState = { readonly memory: PooledNeuralMemoryState | null; readonly attention: KeysAndValues }

/** Memory, attention inside a window, feed-forward: `x += NM(x)`, `x += Attn(x)`, `x += FF(x)`. */
class PortLayer extends Module {
  readonly memory: PooledNeuralMemory | null
  readonly attention: WindowAttention
  readonly mlpNorm: RMSNorm
  /** To value and gate, one after the other. */
  readonly inProj: Linear
  readonly outProj: Linear

  constructor(
    private readonly options: PortOptions,
    index: number,
    rng: Rng,
  ) {
    super()
    const { dModel, dInner, segment, longterm, memoryLayers, memory } = options
    const weightResidual = options.weightResidual && memoryLayers.some((other) => other < index)
    this.memory = memoryLayers.includes(index)
      ? new PooledNeuralMemory({ ...memory, dModel, weightResidual }, rng)
      : null
    this.attention = new WindowAttention({ ...options, window: segment + longterm }, index === 0, rng)
    this.mlpNorm = new RMSNorm(dModel, FLOAT_EPSILON)
    this.inProj = new Linear(dModel, 2 * dInner, rng)
    this.outProj = new Linear(dInner, dModel, rng)
  }

  initialState(batch: number): LayerState {
    return { memory: this.memory?.initialState(batch) ?? null, attention: { keys: null, values: null } }
  }

  forward(x: Tensor, state: LayerState, position: number, pass: SharedPass): Mixed<LayerState> {
    const recalled = this.memory?.forward(x, state.memory ?? undefined, pass) ?? null
    const { gateAttention } = this.options
    let h = recalled === null || gateAttention ? x : add(x, recalled.y)
    const attended = this.attention.forward(h, state.attention, position, pass.shared)
    h = add(h, recalled !== null && gateAttention ? mul(attended.y, sigmoid(recalled.y)) : attended.y)
    const [value, gate] = split(this.inProj.forward(this.mlpNorm.forward(h)), 2, 2) as [Tensor, Tensor]
    const y = add(h, this.outProj.forward(mul(value, silu(gate))))
    return { y, state: { memory: recalled?.state ?? null, attention: attended.state } }
  }

  /** Bytes of one row after `positions`. */
  stateBytes(positions: number): number {
    return (this.memory?.stateBytes(positions) ?? 0) + this.attention.stateBytes(positions)
  }
}

type SharedPass = Pass & { readonly shared: Map<string, Tensor> }

/** A map from a whole number to a vector, `1 -> 2D -> 2D -> D`. */
class PlaceEmbedding extends Module {
  readonly layers: Linear[]

  constructor(dModel: number, rng: Rng) {
    super()
    this.layers = [
      new Linear(1, 2 * dModel, rng),
      new Linear(2 * dModel, 2 * dModel, rng),
      new Linear(2 * dModel, dModel, rng),
    ]
  }

  /** places of n positions, to `[n, D]`. */
  forward(places: readonly number[]): Tensor {
    let y: Tensor = tensor2d([...places], [places.length, 1])
    for (const [l, layer] of this.layers.entries()) y = layer.forward(l === 0 ? y : silu(y))
    return y
  }
}

export type PortState = {
  /** Tokens so far; long-term tokens are not counted. */
  readonly position: number
  readonly layers: readonly LayerState[]
}

/**
 * The body of the titans-pytorch port's transformer: memories, and attention inside windows of a segment and the
 * long-term tokens behind it. A position is placed by its memory chunk, and by its place inside that.
 *
 *   n = T + M ⌊(T − 1) / S⌋ positions,   x_i += A(⌊i / c⌋) + B(i mod c)
 *
 * S tokens a segment, M long-term tokens, c the chunk of the memories. Long-term tokens are put in when the token after
 * them comes. State: that of every layer; bounded. Time O(n (D² + (S + M) H K)) beside the memories.
 * Source: lucidrains/titans-pytorch, mac_transformer.py.
 * Differs: keys are turned by their position in the sequence in every form. The port's cached decoding turns them by the
 * position inside the window, and differs from its own parallel form once persistent keys are not zero.
 */
export class PortBody extends Module implements SequenceMixer<PortState> {
  readonly traits: MixerTraits = { causal: true, padding: true, constantState: true }
  readonly longterm: Variable | null
  readonly chunkEmbedding: PlaceEmbedding
  readonly offsetEmbedding: PlaceEmbedding
  readonly layers: PortLayer[]

  constructor(
    private readonly options: PortOptions,
    rng: Rng,
  ) {
    super()
    const { dModel, nLayers, longterm } = options
    this.longterm = longterm > 0 ? parameter(normal(rng, [longterm, dModel], 0.02)) : null
    this.chunkEmbedding = new PlaceEmbedding(dModel, rng)
    this.offsetEmbedding = new PlaceEmbedding(dModel, rng)
    this.layers = Array.from({ length: nLayers }, (_, i) => new PortLayer(options, i, rng.fork(`layer ${i}`)))
  }

  initialState(batch: number): PortState {
    return { position: 0, layers: this.layers.map((layer) => layer.initialState(batch)) }
  }

  forward(x: Tensor, state?: PortState, pass?: Pass): Mixed<PortState> {
    const { B, T } = dims('PortBody.forward x', x, 'B T D', { D: this.options.dModel })
    const apart = rowByRow(this, x, state, pass)
    if (apart !== null) return apart
    const before = state ?? this.initialState(B)
    const within: SharedPass = { ...(pass ?? { training: false }), shared: new Map() }
    const start = this.positions(before.position)
    const { tokens, kept } = this.withLongterm(x, before.position)
    let y = add(tokens, this.places(start, tokens.shape[1] as number))
    const layers: LayerState[] = []
    for (const [i, layer] of this.layers.entries()) {
      const record = within.record?.at(`layers.${i}`)
      const mixed = layer.forward(y, before.layers[i] as LayerState, start, record ? { ...within, record } : within)
      y = mixed.y
      layers.push(mixed.state)
    }
    return {
      y: kept.length === y.shape[1] ? y : gather(y, tensor1d([...kept], 'int32'), 1),
      state: { position: before.position + T, layers },
    }
  }

  /** Positions taken up by `length` tokens. */
  private positions(length: number): number {
    const { segment, longterm } = this.options
    return length === 0 ? 0 : length + longterm * Math.floor((length - 1) / segment)
  }

  /** Puts long-term tokens in front of every first token of a segment but the very first; `kept` are the others. */
  private withLongterm(x: Tensor, position: number): { readonly tokens: Tensor; readonly kept: readonly number[] } {
    const { segment, longterm } = this.options
    const [B, T, D] = x.shape as [number, number, number]
    const parts: Tensor[] = []
    const kept: number[] = []
    let length = 0
    for (let t = 0; t < T; ) {
      const at = position + t
      if (this.longterm !== null && at > 0 && at % segment === 0) {
        parts.push(tile(expandDims(this.longterm, 0), [B, 1, 1]))
        length += longterm
      }
      const size = Math.min(T - t, segment - (at % segment))
      parts.push(slice(x, [0, t, 0], [B, size, D]))
      for (let i = 0; i < size; i++) kept.push(length + i)
      length += size
      t += size
    }
    return { tokens: concat(parts, 1), kept }
  }

  /** What is added at n positions from `start` on, `[n, D]`. */
  private places(start: number, n: number): Tensor {
    const { chunk } = this.options.memory
    const indices = Array.from({ length: n }, (_, i) => start + i)
    return add(
      this.chunkEmbedding.forward(indices.map((i) => Math.floor(i / chunk))),
      this.offsetEmbedding.forward(indices.map((i) => i % chunk)),
    )
  }

  stateBytes(length: number): number {
    const positions = this.positions(length)
    return this.layers.reduce((total, layer) => total + layer.stateBytes(positions), 0)
  }
}
