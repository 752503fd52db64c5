import {
  constant,
  dims,
  type Mixed,
  type MixerTraits,
  Module,
  type Pass,
  parameter,
  refusePadding,
  type SequenceMixer,
  type State,
  tokenAt,
} from '@mneme/core-tensor'
import { add, concat, expandDims, slice, type Tensor, type Variable, zeros } from '@tensorflow/tfjs-core'

export interface MemoryPrefixState {
  readonly [name: string]: State
  /** Of the reader, which has seen every token. */
  readonly read: State
  /** What the reader said of all tokens before the open segment, `[B, 1, D]`. */
  readonly memory: Tensor
  /** Of the model inside the open segment; null before its first token. */
  readonly inner: State
  /** Tokens of the open segment so far. */
  readonly filled: number
}

/**
 * A cascade of two memories: a recurrent reader goes over the whole history, and what it says at the end of a segment
 * stands as one token in front of the next, for a model that sees that segment alone.
 *
 *   m_t = reader(x_1 … x_t),   [_; Y_s] = f([m_{sL} + e; X_s]),   m_0 = 0
 *
 * X_s are tokens sL+1 to (s+1)L, e `[D]` is learned and marks the token of memory. State: the reader's and f's within a
 * segment, constant in T. Time: the reader's, and f over L + 1 tokens a segment.
 * Paper: Liu and Xu 2025, arXiv:2509.24074.
 */
export class MemoryPrefix extends Module implements SequenceMixer<MemoryPrefixState> {
  readonly traits: MixerTraits = { causal: true, padding: false, constantState: true }
  /** e */
  readonly mark: Variable

  constructor(
    readonly reader: SequenceMixer,
    readonly inner: SequenceMixer,
    private readonly options: { readonly dModel: number; readonly segment: number },
  ) {
    super()
    const { dModel, segment } = options
    if (!(Number.isInteger(segment) && segment > 0)) {
      throw new RangeError(`MemoryPrefix segment: expected a whole number of tokens, at least 1, got ${segment}.`)
    }
    this.mark = parameter(constant([dModel], 0))
  }

  initialState(batch: number): MemoryPrefixState {
    const memory = zeros([batch, 1, this.options.dModel])
    return { read: this.reader.initialState(batch), memory, inner: null, filled: 0 }
  }

  forward(x: Tensor, state?: MemoryPrefixState, pass?: Pass): Mixed<MemoryPrefixState> {
    refusePadding('MemoryPrefix.forward', pass)
    const { dModel, segment } = this.options
    const { B, T } = dims('MemoryPrefix.forward x', x, 'B T D', { D: dModel })
    let { read, memory, inner, filled } = state ?? this.initialState(B)
    const history = this.reader.forward(x, read, pass)
    read = history.state
    pass?.record?.record('memory', history.y)
    const outputs: Tensor[] = []
    for (let t = 0; t < T; ) {
      const size = Math.min(T - t, segment - filled)
      const piece = slice(x, [0, t, 0], [B, size, dModel])
      const first = filled === 0
      const tokens = first ? concat([add(memory, this.mark), piece], 1) : piece
      const mixed = this.inner.forward(tokens, first ? this.inner.initialState(B) : inner, pass)
      outputs.push(first ? slice(mixed.y, [0, 1, 0], [B, size, dModel]) : mixed.y)
      t += size
      filled += size
      inner = mixed.state
      if (filled < segment) continue
      memory = expandDims(tokenAt(history.y, t - 1), 1)
      inner = null
      filled = 0
    }
    return { y: concat(outputs, 1), state: { read, memory, inner, filled } }
  }

  stateBytes(length: number): number {
    const { dModel, segment } = this.options
    const filled = length % segment
    const open = filled === 0 ? 0 : this.inner.stateBytes(filled + 1)
    return this.reader.stateBytes(length) + 4 * dModel + open
  }
}
