import {
  bySegments,
  constant,
  dims,
  type Mixed,
  type MixerTraits,
  Module,
  type Pass,
  parameter,
  pieceOf,
  rowByRow,
  type SequenceMixer,
  type State,
  tokenAt,
  wholeNumber,
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
  readonly traits: MixerTraits = { causal: true, padding: true, constantState: true }
  /** e */
  readonly mark: Variable

  constructor(
    readonly reader: SequenceMixer,
    readonly inner: SequenceMixer,
    private readonly options: { readonly dModel: number; readonly segment: number },
  ) {
    super()
    const { dModel, segment } = options
    wholeNumber('MemoryPrefix segment', segment, 'tokens')
    this.mark = parameter(constant([dModel], 0))
  }

  initialState(batch: number): MemoryPrefixState {
    const memory = zeros([batch, 1, this.options.dModel])
    return { read: this.reader.initialState(batch), memory, inner: null, filled: 0 }
  }

  forward(x: Tensor, state?: MemoryPrefixState, pass?: Pass): Mixed<MemoryPrefixState> {
    const { dModel, segment } = this.options
    const { B, T } = dims('MemoryPrefix.forward x', x, 'B T D', { D: dModel })
    const apart = rowByRow(this, x, state, pass)
    if (apart !== null) return apart
    const before = state ?? this.initialState(B)
    const history = this.reader.forward(x, before.read, pass)
    pass?.record?.record('memory', history.y)
    const start = { ...before, read: history.state }
    const left = ({ filled }: MemoryPrefixState): number => segment - filled
    return bySegments<MemoryPrefixState>(T, start, left, (span, open) => {
      const first = open.filled === 0
      const piece = pieceOf(x, span, 1)
      const tokens = first ? concat([add(open.memory, this.mark), piece], 1) : piece
      const mixed = this.inner.forward(tokens, first ? this.inner.initialState(B) : open.inner, pass)
      const y = first ? slice(mixed.y, [0, 1, 0], [B, span.size, dModel]) : mixed.y
      const filled = open.filled + span.size
      if (filled < segment) return { y, state: { ...open, inner: mixed.state, filled } }
      const memory = expandDims(tokenAt(history.y, span.begin + span.size - 1), 1)
      return { y, state: { ...open, memory, inner: null, filled: 0 } }
    })
  }

  stateBytes(length: number): number {
    const { dModel, segment } = this.options
    const filled = length % segment
    const open = filled === 0 ? 0 : this.inner.stateBytes(filled + 1)
    return this.reader.stateBytes(length) + 4 * dModel + open
  }
}
