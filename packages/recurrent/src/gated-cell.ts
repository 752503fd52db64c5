import {
  affine,
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
} from '@mneme/core-tensor'
import { type Tensor, type Variable, zeros } from '@tensorflow/tfjs-core'

export interface GatedCellOptions {
  readonly dModel: number
  /** Inner width; where it is not that of the model, an output projection without bias follows. */
  readonly dHidden: number
}

/** What the loop over tokens works on. */
export interface CellInputs {
  readonly projected: Tensor
  readonly weight: Tensor
  readonly bias: Tensor
  readonly resets?: Tensor
  readonly mask?: Tensor
}

/**
 * A cell whose gates look at its own last output through a full matrix: weights as PyTorch's recurrent layers have them,
 * one matrix and one bias for the input and one for the state, gates one below the other.
 */
export abstract class GatedCell<S extends State> extends Module implements SequenceMixer<S> {
  readonly traits: MixerTraits = { causal: true, padding: true, constantState: true }
  /** `[gates E, D]` */
  readonly weightIh: Variable
  /** `[gates E, E]` */
  readonly weightHh: Variable
  /** `[gates E]` */
  readonly biasIh: Variable
  /** `[gates E]` */
  readonly biasHh: Variable
  readonly outProj: Linear | null

  /** What errors name. */
  protected abstract readonly where: string
  protected readonly dHidden: number
  private readonly dModel: number

  constructor({ dModel, dHidden }: GatedCellOptions, gates: number, rng: Rng) {
    super()
    this.dModel = dModel
    this.dHidden = dHidden
    const uniform = (...shape: number[]): Variable => parameter(linearUniform(rng, shape, dHidden))
    this.weightIh = uniform(gates * dHidden, dModel)
    this.weightHh = uniform(gates * dHidden, dHidden)
    this.biasIh = uniform(gates * dHidden)
    this.biasHh = uniform(gates * dHidden)
    this.outProj = dHidden === dModel ? null : new Linear(dHidden, dModel, rng, { bias: false })
  }

  abstract initialState(batch: number): S

  /** Outputs of every token, `[B, T, E]`, and the state after the last. */
  protected abstract loop(inputs: CellInputs, state: S, pass?: Pass): { readonly h: Tensor; readonly state: S }

  forward(x: Tensor, state?: S, pass?: Pass): Mixed<S> {
    const { B, T } = dims(`${this.where} x`, x, 'B T D', { D: this.dModel })
    const gaps = gapsOf(this.where, pass, B, T)
    const inputs = {
      projected: affine({ x, weight: this.weightIh, bias: this.biasIh }).y,
      weight: this.weightHh,
      bias: this.biasHh,
      ...(gaps && { resets: gaps.starts, mask: gaps.tokens }),
    }
    const { h, state: after } = this.loop(inputs, state ?? this.initialState(B), pass)
    pass?.record?.record('state', h)
    return { y: this.outProj ? this.outProj.forward(h) : h, state: after }
  }

  protected empty(batch: number): Tensor {
    return zeros([batch, this.dHidden])
  }

  abstract stateBytes(): number
}
