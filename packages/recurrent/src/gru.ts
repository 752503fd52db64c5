import { gru, type Rng, tokenAt } from '@mneme/core-tensor'
import type { Tensor } from '@tensorflow/tfjs-core'
import { type CellInputs, GatedCell, type GatedCellOptions } from './gated-cell.js'

export type GruOptions = GatedCellOptions

/**
 * Gated recurrent unit: an update gate mixes the last state with a candidate, which sees that state through a reset gate.
 *
 *   r, z = σ(W x_t + b + U h_{t-1} + b'),   n = tanh(W_n x_t + b_n + r ⊙ (U_n h_{t-1} + b'_n))
 *   h_t = (1 − z) ⊙ n + z ⊙ h_{t-1},   y_t = h_t
 *
 * weightIh W `[3E, D]` and weightHh U `[3E, E]` in the order r, z, n; y = W_o h where E ≠ D. State h `[B, E]`, constant
 * in T. Time O(T E (D + E)), token after token.
 * Paper: Cho et al. 2014, arXiv:1406.1078, section 2.3.
 * Differs: the reset gate acts after the recurrent product, as in Chung et al. 2014, arXiv:1412.3555, and PyTorch.
 */
export class GRU extends GatedCell<Tensor> {
  protected readonly where = 'GRU.forward'

  constructor(options: GruOptions, rng: Rng) {
    super(options, 3, rng)
  }

  initialState(batch: number): Tensor {
    return this.empty(batch)
  }

  protected loop(inputs: CellInputs, h0: Tensor): { readonly h: Tensor; readonly state: Tensor } {
    const { h } = gru({ ...inputs, h0 })
    return { h, state: tokenAt(h, (h.shape[1] as number) - 1) }
  }

  stateBytes(): number {
    return 4 * this.dHidden
  }
}
