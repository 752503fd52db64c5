import { lstm, type Pass, type Rng, tokenAt } from '@mneme/core-tensor'
import { concat, fill, slice, type Tensor, tidy, type Variable } from '@tensorflow/tfjs-core'
import { type CellInputs, GatedCell, type GatedCellOptions } from './gated-cell.js'

export interface LstmOptions extends GatedCellOptions {
  /** What the two biases of the forget gate add up to at first; each uniform like the others if null. */
  readonly forgetBias: number | null
}

export type LstmState = {
  readonly h: Tensor
  readonly c: Tensor
}

/**
 * Long short-term memory: a cell that gates write to, keep and show.
 *
 *   i, f, o = σ(W x_t + b + U h_{t-1} + b'),   g = tanh(W_g x_t + b_g + U_g h_{t-1} + b'_g)
 *   c_t = f ⊙ c_{t-1} + i ⊙ g,   h_t = o ⊙ tanh(c_t),   y_t = h_t
 *
 * weightIh W `[4E, D]` and weightHh U `[4E, E]` in the order i, f, g, o; y = W_o h where E ≠ D. State h and c `[B, E]`,
 * constant in T. Time O(T E (D + E)), token after token.
 * Paper: Hochreiter and Schmidhuber 1997, Neural Computation 9(8); the forget gate of Gers et al. 2000, section 3.
 * Differs: two biases, as in PyTorch.
 */
export class LSTM extends GatedCell<LstmState> {
  protected readonly where = 'LSTM.forward'

  constructor(options: LstmOptions, rng: Rng) {
    super(options, 4, rng)
    const { dHidden, forgetBias } = options
    if (forgetBias === null) return
    tidy(() => {
      setForget(this.biasIh, forgetBias, dHidden)
      setForget(this.biasHh, 0, dHidden)
    })
  }

  initialState(batch: number): LstmState {
    return { h: this.empty(batch), c: this.empty(batch) }
  }

  protected loop(
    inputs: CellInputs,
    before: LstmState,
    pass?: Pass,
  ): { readonly h: Tensor; readonly state: LstmState } {
    const { h, c } = lstm({ ...inputs, h0: before.h, c0: before.c })
    pass?.record?.record('cell', c)
    const last = (h.shape[1] as number) - 1
    return { h, state: { h: tokenAt(h, last), c: tokenAt(c, last) } }
  }

  stateBytes(): number {
    return 8 * this.dHidden
  }
}

/** The second of four parts. */
function setForget(bias: Variable, value: number, width: number): void {
  bias.assign(concat([slice(bias, [0], [width]), fill([width], value), slice(bias, [2 * width], [2 * width])]))
}
