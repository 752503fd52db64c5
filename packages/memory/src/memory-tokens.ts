import { type Carry, dims, everyRow, Module, normal, parameter, type Rng, wholeNumber } from '@mneme/core-tensor'
import { add, type Tensor, type Variable } from '@tensorflow/tfjs-core'

/** What crosses to the next segment: memory tokens `[B, M, D]`, null where there are none. */
export type MemoryTokensState = Tensor | null

/**
 * Memory tokens: M vectors stand before a segment, where it reads them, and again behind it, where what the model makes
 * of them becomes the memory of the next segment.
 *
 *   [_; Y_s; M_{s+1}] = f([M_s; X_s; M_s]),   M_0 learned
 *
 * State `[B, M, D]`, constant in T. Each segment of L tokens costs f what L + 2M tokens cost.
 * Paper: Bulatov et al. 2022, arXiv:2207.06881, section 3.
 */
export class MemoryTokens extends Module implements Carry<MemoryTokensState> {
  /** `[M, D]`; null for no tokens, which leaves segments that know nothing of each other. */
  readonly initial: Variable | null
  /** Added where the tokens stand in front, `[M, D]`, and where they stand behind; null where there are none. */
  readonly frontPositions: Variable | null
  readonly backPositions: Variable | null

  /** `std` is the deviation of the initial tokens; that of the token embedding keeps both of one size. */
  constructor(
    private readonly count: number,
    private readonly dModel: number,
    rng: Rng,
    { std = 1, positions = false }: { readonly std?: number; readonly positions?: boolean } = {},
  ) {
    super()
    wholeNumber('MemoryTokens count', count, '', 0)
    this.initial = count === 0 ? null : parameter(normal(rng, [count, dModel], std))
    const places = (): Variable | null => (positions && count > 0 ? parameter(normal(rng, [count, dModel], 1)) : null)
    this.frontPositions = places()
    this.backPositions = places()
  }

  get front(): number {
    return this.count
  }

  /** The memory tokens as they are learned, the same for every row: `[B, M, D]`. */
  initialState(batch: number): MemoryTokensState {
    return this.initial && everyRow(this.initial, batch)
  }

  before(carried: MemoryTokensState): Tensor | null {
    return placed(carried, this.frontPositions)
  }

  after(carried: MemoryTokensState): Tensor | null {
    return placed(carried, this.backPositions)
  }

  update(written: Tensor | null): MemoryTokensState {
    if (written) dims('MemoryTokens.update written', written, 'B M D', { M: this.count, D: this.dModel })
    return written
  }

  stateBytes(): number {
    return 4 * this.count * this.dModel
  }
}

const placed = (tokens: MemoryTokensState, positions: Tensor | null): Tensor | null =>
  tokens === null || positions === null ? tokens : add(tokens, positions)
