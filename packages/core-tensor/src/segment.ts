import { add, concat, slice, type Tensor } from '@tensorflow/tfjs-core'
import type { Mixed, MixerTraits, Pass, SequenceMixer } from './mixer.js'
import { Module } from './module.js'
import type { Embedding } from './nn/embedding.js'
import { joined, pieceOf, type Span } from './ops/blocks.js'
import { rowByRow } from './row-by-row.js'
import { dims, wholeNumber } from './shape.js'
import { detach, type State } from './state.js'

export { spans } from './ops/blocks.js'

/**
 * Runs the T tokens of a call segment by segment: `left` says how many tokens the open segment of a state still takes at
 * the `begin`-th token, `run` is given no more than those, and closes the segment that it fills. Outputs are put together
 * along time.
 */
export function bySegments<S>(
  T: number,
  state: S,
  left: (state: S, begin: number) => number,
  run: (tokens: Span, state: S) => Mixed<S>,
): Mixed<S> {
  const outputs: Tensor[] = []
  let current = state
  for (let begin = 0; begin < T; ) {
    const size = Math.min(T - begin, left(current, begin))
    const mixed = run({ begin, size }, current)
    outputs.push(mixed.y)
    current = mixed.state
    begin += size
  }
  return { y: joined(outputs, 1), state: current }
}

/**
 * What crosses from one segment to the next, and how. Only tokens pass between a carry and the model inside, in the
 * order before, segment, after; so a segment can be run token by token and still come out the same.
 */
export interface Carry<M extends State = State> extends Module {
  /** Tokens that `before` gives. */
  readonly front: number
  /** What is handed to the first segment, for `batch` rows. Differentiable: may read parameters. */
  initialState(batch: number): M
  /** Tokens put in front of a segment, `[B, P, D]`; their outputs are dropped. */
  before(carried: M): Tensor | null
  /** Tokens put behind a finished segment, `[B, P, D]`; their outputs go to `update`. */
  after(carried: M, batch: number): Tensor | null
  /** What the next segment gets, from the outputs of the `after` tokens. */
  update(written: Tensor | null, carried: M): M
  /** Bytes of one row. */
  stateBytes(): number
}

export type Alignment = 'left' | 'right' | 'center'

export interface SegmentOptions {
  /** Tokens in a segment. */
  readonly length: number
  /**
   * Which segment is short where the length does not go into the sequence: `left` the last, `right` the first, `center`
   * none, all being about as long. Only `left` can tell without the whole sequence: elsewhere the first call decides.
   */
  readonly alignment?: Alignment
  /** Segments that gradients flow back through; Infinity for all. */
  readonly backprop: number
  /** Added to the tokens of a segment by their place in it, and not to those of the carry. */
  readonly positions?: Embedding | null
}

export interface SegmentState<M extends State = State> {
  readonly [name: string]: State
  readonly carried: M
  /** State of the model inside the open segment; before its first token what is kept of the one before, or null. */
  readonly inner: State
  /** Tokens of the open segment so far. */
  readonly filled: number
  /** Tokens of the open segment in all; null until the first call decides. */
  readonly length: number | null
  /** Segments since gradients were last cut. */
  readonly sinceCut: number
}

/** The same, once it is known where the open segment ends. */
type Opened<M extends State> = SegmentState<M> & { readonly length: number }

/** Runs a mixer over segments; between them passes only what the carry holds. */
export class SegmentRecurrent<M extends State> extends Module implements SequenceMixer<SegmentState<M>> {
  readonly positions: Embedding | null
  private readonly alignment: Alignment

  constructor(
    readonly inner: SequenceMixer,
    readonly carry: Carry<M>,
    private readonly options: SegmentOptions,
  ) {
    super()
    this.positions = options.positions ?? null
    this.alignment = options.alignment ?? 'left'
    wholeNumber('segmentRecurrent length', options.length, 'tokens')
    if (!inner.traits.causal)
      throw new RangeError('segmentRecurrent inner: expected a causal mixer, got a bidirectional one.')
  }

  /** The state inside a segment is bounded by its length, whatever the model inside. */
  get traits(): MixerTraits {
    const { length, backprop } = this.options
    const cut = Number.isFinite(backprop) ? { backprop: length * backprop } : {}
    const whole = this.alignment === 'left' ? {} : { whole: true }
    return { causal: true, padding: true, constantState: true, ...cut, ...whole }
  }

  initialState(batch: number): SegmentState<M> {
    const length = this.alignment === 'left' ? this.options.length : null
    return { carried: this.carry.initialState(batch), inner: null, filled: 0, length, sinceCut: 0 }
  }

  forward(x: Tensor, state?: SegmentState<M>, pass?: Pass): Mixed<SegmentState<M>> {
    const apart = rowByRow(this, x, state, pass)
    if (apart !== null) return apart
    const [B, T] = x.shape as [number, number, number]
    const start = this.opened(state ?? this.initialState(B), T)
    const left = ({ length, filled }: Opened<M>): number => length - filled
    return bySegments(T, start, left, (tokens, open) => {
      const { y, state: after } = this.inSegment(pieceOf(x, tokens, 1), open, pass)
      return { y, state: after.filled === after.length ? this.close(after, B, pass) : after }
    })
  }

  /** Fixes the length of the first segment by the tokens of the first call. */
  private opened(state: SegmentState<M>, T: number): Opened<M> {
    return { ...state, length: state.length ?? firstSegment(T, this.options.length, this.alignment) }
  }

  private inSegment(piece: Tensor, state: Opened<M>, pass?: Pass): Mixed<Opened<M>> {
    const [B, size] = piece.shape as [number, number]
    let inner = state.inner
    let front = 0
    let tokens = this.placed(piece, state.filled)
    if (state.filled === 0) {
      inner ??= this.inner.initialState(B)
      const before = this.carry.before(state.carried)
      if (before !== null) {
        dims('SegmentRecurrent.forward x', piece, 'B T D', { B, D: before.shape[2] as number })
        front = before.shape[1] as number
        tokens = concat([before, tokens], 1)
      }
    }
    const mixed = this.inner.forward(tokens, inner, pass)
    const y = front === 0 ? mixed.y : slice(mixed.y, [0, front, 0], [B, size, -1])
    return { y, state: { ...state, inner: mixed.state, filled: state.filled + size } }
  }

  private placed(piece: Tensor, place: number): Tensor {
    if (this.positions === null) return piece
    return add(piece, slice(this.positions.weight, [place, 0], [piece.shape[1] as number, -1]))
  }

  /** Ends the open segment: lets the carry write, and the model inside keep what it keeps; the rest is forgotten. */
  private close(state: Opened<M>, B: number, pass?: Pass): Opened<M> {
    const after = this.carry.after(state.carried, B)
    const kept = after === null ? undefined : this.inner.acrossSegments?.end(after, state.inner, pass)
    const written = after === null ? null : (kept ?? this.inner.forward(after, state.inner, pass)).y
    const carried = this.carry.update(written, state.carried)
    const inner = kept?.state ?? null
    const { backprop } = this.options
    const cut = state.sinceCut + 1 >= backprop
    return {
      carried: cut ? detach(carried) : carried,
      inner: cut ? detach(inner) : inner,
      filled: 0,
      length: this.alignment === 'center' ? state.length : this.options.length,
      // with no cut in sight the count would tell states of the same place apart
      sinceCut: cut || backprop === Number.POSITIVE_INFINITY ? 0 : state.sinceCut + 1,
    }
  }

  stateBytes(length: number): number {
    const first = firstSegment(length, this.options.length, this.alignment)
    const filled = this.alignment === 'right' ? 0 : length % first
    const { carry, inner } = this
    const kept = inner.acrossSegments?.bytes() ?? 0
    return carry.stateBytes() + (filled === 0 ? kept : inner.stateBytes(carry.front + filled))
  }
}

/** Tokens of the first segment of T tokens; with `center` those of all others too, save that the last may be shorter. */
export function firstSegment(T: number, length: number, alignment: Alignment): number {
  if (alignment === 'right') return T % length || length
  return alignment === 'center' ? Math.ceil(T / Math.ceil(T / length)) : length
}

/** Runs a mixer over segments, with only what `carry` hands over passing between them. */
export function segmentRecurrent<M extends State>(
  inner: SequenceMixer,
  carry: Carry<M>,
  options: SegmentOptions,
): SegmentRecurrent<M> {
  return new SegmentRecurrent(inner, carry, options)
}
