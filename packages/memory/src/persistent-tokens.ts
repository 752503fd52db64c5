import {
  dims,
  everyRow,
  type Mixed,
  type MixerTraits,
  Module,
  normal,
  type Pass,
  parameter,
  type Rng,
  rowByRow,
  type SequenceMixer,
  type State,
} from '@mneme/core-tensor'
import { type Tensor, tidy, type Variable } from '@tensorflow/tfjs-core'

/**
 * Learned tokens ahead of every sequence: a mixer starts from the state that they leave, and their outputs are dropped.
 *
 *   y = f([P, x])_x,   P `[count, D]`
 *
 * State: that of the mixer. Time: that of the mixer, once for P.
 * Paper: Behrouz et al. 2025, arXiv:2501.00663, section 3.3.
 */
export class PersistentTokens extends Module implements SequenceMixer {
  readonly persistent: Variable | null

  constructor(
    readonly inner: SequenceMixer,
    private readonly options: { readonly dModel: number; readonly count: number },
    rng: Rng,
  ) {
    super()
    const { dModel, count } = options
    this.persistent = count > 0 ? parameter(normal(rng, [count, dModel], 1)) : null
  }

  get traits(): MixerTraits {
    const { causal, constantState } = this.inner.traits
    return { causal, padding: true, constantState }
  }

  initialState(batch: number): State {
    const { persistent } = this
    if (persistent === null) return this.inner.initialState(batch)
    return tidy(() => this.inner.forward(everyRow(persistent, batch)).state as never) as State
  }

  forward(x: Tensor, state?: State, pass?: Pass): Mixed<State> {
    const { B } = dims('PersistentTokens.forward x', x, 'B T D', { D: this.options.dModel })
    // a document that starts anew has to see these tokens again
    const apart = rowByRow(this, x, state, pass)
    if (apart !== null) return apart
    return this.inner.forward(x, state ?? this.initialState(B), pass)
  }

  stateBytes(length: number): number {
    return this.inner.stateBytes(length + this.options.count)
  }
}
