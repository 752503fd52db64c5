import {
  type Alignment,
  bySegments,
  detach,
  dims,
  everyRow,
  firstSegment,
  type Mixed,
  type MixerTraits,
  Module,
  normal,
  type Pass,
  parameter,
  pieceOf,
  type Rng,
  rowByRow,
  type SequenceMixer,
  type State,
  wholeNumber,
} from '@mneme/core-tensor'
import { concat, slice, type Tensor, type Variable } from '@tensorflow/tfjs-core'

export interface SegmentedEncoderOptions {
  readonly dModel: number
  readonly memoryTokens: number
  /** Tokens of a segment, without memory and marks. */
  readonly length: number
  /** Which segment of a call is short where the length does not go into it. */
  readonly alignment: Alignment
  /** Segments that gradients flow back through; Infinity for all. */
  readonly backprop: number
  /** Deviation of the initial tokens. */
  readonly std: number
}

export interface SegmentedEncoderState {
  readonly [name: string]: State
  /** `[B, M, D]` */
  readonly memory: Tensor
  /** Segments since gradients were last cut. */
  readonly sinceCut: number
}

/**
 * Memory tokens for an encoder: they stand in front of a segment, and what they become there is the memory of the next.
 *
 *   [_; M_{s+1}; _; Y_s; _] = f([start; M_s; end; X_s; end]),   M_0, start and end learned
 *
 * f looks both ways, so that one block of memory reads and writes. A call holds whole segments. State `[B, M, D]`,
 * constant in T; each segment of L tokens costs f what L + M + 3 tokens cost.
 * Paper: Bulatov et al. 2023, arXiv:2304.11062, section 3.
 */
export class SegmentedEncoder extends Module implements SequenceMixer<SegmentedEncoderState> {
  readonly initial: Variable
  /** Start and end, `[2, D]`. */
  readonly marks: Variable

  constructor(
    private readonly options: SegmentedEncoderOptions,
    readonly inner: SequenceMixer,
    rng: Rng,
  ) {
    super()
    const { dModel, memoryTokens: M, length, std } = options
    wholeNumber('SegmentedEncoder memoryTokens', M)
    wholeNumber('SegmentedEncoder length', length)
    this.initial = parameter(normal(rng, [M, dModel], std))
    this.marks = parameter(normal(rng, [2, dModel], std))
  }

  get traits(): MixerTraits {
    const { length, backprop } = this.options
    const cut = Number.isFinite(backprop) ? { backprop: length * backprop } : {}
    return { causal: false, padding: true, constantState: true, ...cut }
  }

  initialState(batch: number): SegmentedEncoderState {
    return { memory: everyRow(this.initial, batch), sinceCut: 0 }
  }

  forward(x: Tensor, state?: SegmentedEncoderState, pass?: Pass): Mixed<SegmentedEncoderState> {
    if (pass?.tokenTypes) throw new RangeError('SegmentedEncoder.forward: expected tokens of one kind, got tokenTypes.')
    const { dModel, length, alignment } = this.options
    const { B, T } = dims('SegmentedEncoder.forward x', x, 'B T D', { D: dModel })
    const apart = rowByRow(this, x, state, pass)
    if (apart !== null) return apart
    const first = firstSegment(T, length, alignment)
    const left = (_: SegmentedEncoderState, begin: number): number =>
      begin === 0 || alignment === 'center' ? first : length
    return bySegments(T, state ?? this.initialState(B), left, (tokens, before) =>
      this.segment(pieceOf(x, tokens, 1), before, pass),
    )
  }

  private segment(x: Tensor, { memory, sinceCut }: SegmentedEncoderState, pass?: Pass): Mixed<SegmentedEncoderState> {
    const { dModel: D, memoryTokens: M, backprop } = this.options
    const [B, L] = x.shape as [number, number]
    const mark = (i: number): Tensor => everyRow(slice(this.marks, [i, 0], [1, D]), B)
    const [start, end] = [mark(0), mark(1)]
    const { y } = this.inner.forward(concat([start, memory, end, x, end], 1), undefined, pass)
    const written = slice(y, [0, 1, 0], [B, M, D])
    const cut = sinceCut + 1 >= backprop
    return {
      y: slice(y, [0, M + 2, 0], [B, L, D]),
      state: {
        memory: cut ? detach(written) : written,
        sinceCut: cut || backprop === Number.POSITIVE_INFINITY ? 0 : sinceCut + 1,
      },
    }
  }

  stateBytes(): number {
    return 4 * this.options.memoryTokens * this.options.dModel
  }
}
