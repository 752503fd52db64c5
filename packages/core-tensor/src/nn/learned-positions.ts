import { add, fill, slice, type Tensor } from '@tensorflow/tfjs-core'
import type { AcrossSegments, Mixed, MixerTraits, Pass, SequenceMixer } from '../mixer.js'
import { Module } from '../module.js'
import type { Rng } from '../rng.js'
import { dims } from '../shape.js'
import type { State } from '../state.js'
import { Embedding } from './embedding.js'
import { type Gaps, gapsOf, positionsOf } from './padding.js'

export interface PositionedState {
  readonly [name: string]: State
  /** Tokens seen, padding included. */
  readonly position: number
  /** Position of the next token of each row, `[B, 1]`, once padding or packing appears; null while that is `position`. */
  readonly rowPositions: Tensor | null
  readonly inner: State
}

/**
 * Adds a learned vector to each token by its position, then runs the mixer inside: `y = f(x_t + p_t)`.
 *
 * Table `[P, D]`; a sequence has P tokens at most. Padding takes no position, and a token that starts anew stands at 0.
 * State: the position, beside that of the mixer inside. Paper: Gehring et al. 2017, arXiv:1705.03122, section 3.1.
 */
export class LearnedPositions extends Module implements SequenceMixer<PositionedState> {
  readonly embedding: Embedding
  readonly inner: SequenceMixer

  constructor(
    private readonly options: { readonly dModel: number; readonly positions: number; readonly std: number },
    inner: SequenceMixer,
    rng: Rng,
  ) {
    super()
    this.embedding = new Embedding(options.positions, options.dModel, rng, options.std)
    this.inner = inner
  }

  get traits(): MixerTraits {
    return this.inner.traits
  }

  /** The tokens behind a segment stand after it; the next starts at 0. */
  get acrossSegments(): AcrossSegments<PositionedState> | undefined {
    const across = this.inner.acrossSegments
    if (across === undefined) return undefined
    return {
      end: (after, state, pass) => {
        const [B, T] = after.shape as [number, number]
        const { y, state: inner } = across.end(add(after, this.vectors(state, null, B, T).vectors), state.inner, pass)
        return { y, state: { position: 0, rowPositions: null, inner } }
      },
      bytes: () => across.bytes(),
    }
  }

  initialState(batch: number): PositionedState {
    return { position: 0, rowPositions: null, inner: this.inner.initialState(batch) }
  }

  forward(x: Tensor, state?: PositionedState, pass?: Pass): Mixed<PositionedState> {
    const { B, T } = dims('LearnedPositions.forward x', x, 'B T D', { D: this.options.dModel })
    const before = state ?? this.initialState(B)
    const gaps = gapsOf('LearnedPositions.forward', pass, B, T)
    const { vectors, rowPositions } = this.vectors(before, gaps, B, T)
    const mixed = this.inner.forward(add(x, vectors), before.inner, pass)
    // what looks both ways sees a call as the whole sequence, and the next as another
    if (!this.inner.traits.causal) return { y: mixed.y, state: { ...before, inner: mixed.state } }
    return { y: mixed.y, state: { position: before.position + T, rowPositions, inner: mixed.state } }
  }

  /** Of the next T tokens: `[T, D]` where all rows stand at one position, else `[B, T, D]`. */
  private vectors(
    { position, rowPositions }: PositionedState,
    gaps: Gaps | null,
    B: number,
    T: number,
  ): { vectors: Tensor; rowPositions: Tensor | null } {
    const { positions } = this.options
    if (position + T > positions) {
      throw new RangeError(
        `LearnedPositions.forward: expected at most ${positions} tokens, got ${position + T}. Start from a new state.`,
      )
    }
    if (gaps === null && rowPositions === null) {
      return { vectors: slice(this.embedding.weight, [position, 0], [T, -1]), rowPositions: null }
    }
    const plain = { tokens: fill([B, T], 1), starts: fill([B, T], 0) }
    const places = positionsOf(gaps ?? plain, rowPositions ?? fill([B, 1], position))
    return { vectors: this.embedding.forward(places.positions), rowPositions: places.next }
  }

  stateBytes(length: number): number {
    return this.inner.stateBytes(length)
  }
}
