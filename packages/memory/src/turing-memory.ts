import {
  dims,
  gapsOf,
  Linear,
  linearUniform,
  type Mixed,
  type MixerTraits,
  Module,
  type Pass,
  parameter,
  type Rng,
  type SequenceMixer,
  type State,
  tokenAt,
  turingHeadsWidth,
  turingMemory,
} from '@mneme/core-tensor'
import { cast, concat, oneHot, type Tensor, tensor1d, type Variable, zeros } from '@tensorflow/tfjs-core'

export interface TuringMemoryOptions {
  readonly dModel: number
  /** Rows of the memory. */
  readonly rows: number
  /** Width of a row. */
  readonly dRow: number
  /** By content alone, or moved on from where a head looked last: mixed by a gate, shifted by up to a row, sharpened. */
  readonly addressing: 'content' | 'full'
}

export interface TuringMemoryState {
  readonly [name: string]: State
  /** `[B, N, C]` */
  readonly memory: Tensor
  /** What was read last, `[B, C]`. */
  readonly read: Tensor
  /** Where the heads looked last, `[B, N]`. */
  readonly readWeights: Tensor
  readonly writeWeights: Tensor
}

/**
 * The memory of a neural Turing machine beside a sequence: at every token one head reads it and another writes to it, and
 * what was read joins the token.
 *
 *   heads = W_x x_t + W_r r_{t-1} + b,   r_t = wᵀ M_{t-1},   M_t = M_{t-1} ⊙ (1 − v eᵀ) + v aᵀ
 *   y_t = W_o [x_t; r_t]
 *
 * inProj `[P, D]` and readWeight `[P, C]` with P = 4 C + 12 numbers of both heads (see `turingMemory`), outProj `[D, D + C]`.
 * Memory starts empty, with both heads at its first row. State: M `[B, N, C]`, r and the weights, constant in T. Time
 * O(T (N C + D C)), token after token.
 * Paper: Graves et al. 2014, arXiv:1410.5401, section 3; beside an encoder as in Carvalho and Abad 2023, arXiv:2309.13029.
 */
export class TuringMemory extends Module implements SequenceMixer<TuringMemoryState> {
  readonly traits: MixerTraits = { causal: true, padding: true, constantState: true }
  readonly inProj: Linear
  readonly readWeight: Variable
  readonly outProj: Linear

  constructor(
    private readonly options: TuringMemoryOptions,
    rng: Rng,
  ) {
    super()
    const { dModel, dRow } = options
    const width = turingHeadsWidth(dRow)
    this.inProj = new Linear(dModel, width, rng)
    this.readWeight = parameter(linearUniform(rng, [width, dRow], dRow))
    this.outProj = new Linear(dModel + dRow, dModel, rng)
  }

  initialState(batch: number): TuringMemoryState {
    const { rows, dRow } = this.options
    const first = (): Tensor => cast(oneHot(tensor1d(new Int32Array(batch), 'int32'), rows), 'float32')
    return {
      memory: zeros([batch, rows, dRow]),
      read: zeros([batch, dRow]),
      readWeights: first(),
      writeWeights: first(),
    }
  }

  forward(x: Tensor, state?: TuringMemoryState, pass?: Pass): Mixed<TuringMemoryState> {
    const { dModel, addressing } = this.options
    const { B, T } = dims('TuringMemory.forward x', x, 'B T D', { D: dModel })
    const gaps = gapsOf('TuringMemory.forward', pass, B, T)
    const { reads, memoryAfter, readWeightsAfter, writeWeightsAfter } = turingMemory(
      {
        projected: this.inProj.forward(x),
        weight: this.readWeight,
        ...(state ?? this.initialState(B)),
        ...(gaps && { resets: gaps.starts, mask: gaps.tokens }),
      },
      { addressing },
    )
    pass?.record?.record('read', reads)
    return {
      y: this.outProj.forward(concat([x, reads], 2)),
      state: {
        memory: memoryAfter,
        read: tokenAt(reads, T - 1),
        readWeights: readWeightsAfter,
        writeWeights: writeWeightsAfter,
      },
    }
  }

  stateBytes(): number {
    const { rows, dRow } = this.options
    return 4 * (rows * dRow + dRow + 2 * rows)
  }
}
