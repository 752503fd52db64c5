import {
  bySegments,
  dims,
  type Mixed,
  type MixerTraits,
  Module,
  type Pass,
  pieceOf,
  type ResidualStack,
  rowByRow,
  type SequenceMixer,
  type State,
} from '@mneme/core-tensor'
import type { Tensor } from '@tensorflow/tfjs-core'

export interface MemoryShiftOptions {
  readonly dModel: number
  /** Tokens of a segment, which every layer of the stack has too. */
  readonly segment: number
  /** Layers whose states go round, counted from 0. */
  readonly layers: readonly number[]
}

export interface MemoryShiftState {
  readonly [name: string]: State
  readonly layers: readonly State[]
  /** Tokens of the open segment so far. */
  readonly filled: number
}

/**
 * Recurrence from the layer above: at the start of a segment each layer takes over what the next one remembered, the
 * last one what the first did, so that what is seen of the past is not bounded by the number of layers.
 *
 *   m_l = m'_{l+1},   m_last = m'_first   at every start of a segment, m' what layers remembered at its end
 *
 * Inputs `[B, T, D]`. State that of the layers, constant where theirs is. Costs nothing.
 * Paper: Ding et al. 2020, arXiv:2012.15688, section 3.3 (enhanced recurrence).
 */
export class MemoryShift extends Module implements SequenceMixer<MemoryShiftState> {
  constructor(
    readonly stack: ResidualStack,
    private readonly options: MemoryShiftOptions,
  ) {
    super()
    const { layers } = options
    if (!layers.every((layer) => Number.isInteger(layer) && layer >= 0 && layer < stack.layers.length)) {
      throw new RangeError(
        `MemoryShift layers: expected some of ${stack.layers.length} layers, counted from 0, got ${layers.join(', ')}.`,
      )
    }
  }

  get traits(): MixerTraits {
    return this.stack.traits
  }

  initialState(batch: number): MemoryShiftState {
    return { layers: this.stack.initialState(batch), filled: 0 }
  }

  forward(x: Tensor, state?: MemoryShiftState, pass?: Pass): Mixed<MemoryShiftState> {
    const { segment, dModel } = this.options
    const { B, T } = dims('MemoryShift.forward x', x, 'B T D', { D: dModel })
    const apart = rowByRow(this, x, state, pass)
    if (apart !== null) return apart
    const left = ({ filled }: MemoryShiftState): number => segment - filled
    return bySegments(T, state ?? this.initialState(B), left, (tokens, { layers, filled }) => {
      const mixed = this.stack.forward(pieceOf(x, tokens, 1), filled === 0 ? this.shifted(layers) : layers, pass)
      return { y: mixed.y, state: { layers: mixed.state, filled: (filled + tokens.size) % segment } }
    })
  }

  private shifted(states: readonly State[]): readonly State[] {
    const { layers } = this.options
    const after = [...states]
    for (const [n, layer] of layers.entries()) after[layer] = states[layers[(n + 1) % layers.length] as number] as State
    return after
  }

  stateBytes(length: number): number {
    return this.stack.stateBytes(length)
  }
}
