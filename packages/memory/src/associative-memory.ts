import {
  constant,
  dims,
  Linear,
  type Memory,
  type Mixed,
  Module,
  type Rng,
  type State,
  stopGradient,
} from '@mneme/core-tensor'
import {
  add,
  clipByValue,
  concat,
  div,
  expandDims,
  matMul,
  mul,
  neg,
  relu,
  sigmoid,
  slice,
  square,
  sub,
  sum,
  type Tensor,
  zeros,
} from '@tensorflow/tfjs-core'

export interface AssociativeMemoryOptions {
  readonly dModel: number
  /** Width of queries and keys before the feature map. */
  readonly dKey: number
  /** Rolls of the feature map, ν; features are 2 ν dKey. */
  readonly rolls: number
  /** Whether keys that are known already add less to the normaliser. */
  readonly correction: boolean
  /** Initial weights of the values; zeros by default, with which nothing is stored. */
  readonly valueInit?: (rng: Rng, shape: readonly number[]) => Tensor
}

export interface AssociativeState {
  readonly [name: string]: State
  /** A, `[B, F, D]`. */
  readonly memory: Tensor
  /** z, `[B, F]`. */
  readonly normaliser: Tensor
  /** Writes so far. */
  readonly writes: number
}

/** Outputs of a layer that are to be stored, `[B, M, D]`, all at once. */
export type AssociativeEntry = { readonly h: Tensor }

const EPS = 1e-5

/**
 * Associative memory written by a quasi-linear delta rule and read through a normaliser.
 *
 *   read x:   φ(W_q x)ᵀ A / (φ(W_q x)·z + ε)
 *   write h:  A ← A + Σ_i β_i φ(k_i) (v_i − v̄_i)ᵀ,   z ← z + Σ_i γ_i φ(k_i),   v̄_i what k_i recalls
 *             γ_i = clip(1 − (φ(k_i)·z + ε) / (‖φ(k_i)‖² + ε), 0, 1),   β = sigmoid(W_b h)
 *
 * φ(x) = [u ⊙ roll(u, j)]_{j = 1..ν}, u = [relu x; relu −x], F = 2 ν dKey features. The entries of one write do not see
 * each other; at the first, v̄ = 0 and γ = 1. No gradient goes through γ. State A `[B, F, D]`, z `[B, F]`, constant.
 * A token read or written costs O(F D).
 * Paper: Rodkin et al. 2024, arXiv:2407.04841, section 2; feature map: Schlag et al. 2021, arXiv:2102.11174, section 5.3.
 */
export class AssociativeMemory extends Module implements Memory<AssociativeState, AssociativeEntry> {
  readonly qProj: Linear
  readonly kProj: Linear
  readonly vProj: Linear
  readonly bProj: Linear
  private readonly features: number

  constructor(
    private readonly options: AssociativeMemoryOptions,
    rng: Rng,
  ) {
    super()
    const { dModel, dKey, rolls, valueInit } = options
    if (!(Number.isInteger(rolls) && rolls >= 1 && rolls < 2 * dKey)) {
      throw new RangeError(
        `AssociativeMemory rolls: expected a whole number from 1 to ${2 * dKey - 1}, below the width that is rolled, got ${rolls}.`,
      )
    }
    this.features = 2 * rolls * dKey
    this.qProj = new Linear(dModel, dKey, rng, { bias: false })
    this.kProj = new Linear(dModel, dKey, rng, { bias: false })
    this.vProj = new Linear(dModel, dModel, rng, {
      bias: false,
      init: valueInit ?? ((_, shape) => constant(shape, 0)),
    })
    this.bProj = new Linear(dModel, 1, rng)
  }

  get dModel(): number {
    return this.options.dModel
  }

  /** A matrix and a normaliser of zeros. */
  initialState(batch: number): AssociativeState {
    const { features } = this
    return {
      memory: zeros([batch, features, this.options.dModel]),
      normaliser: zeros([batch, features]),
      writes: 0,
    }
  }

  /** What is recalled for each of `[B, T, D]`: exactly 0 before the first write. */
  read(state: AssociativeState, query: Tensor): Mixed<AssociativeState> {
    dims('AssociativeMemory.read query', query, 'B T D', { D: this.options.dModel })
    return { y: recalled(state, dpfp(this.qProj.forward(query), this.options.rolls)).value, state }
  }

  /** The memory with the associations of one segment more. */
  write(state: AssociativeState, { h }: AssociativeEntry): AssociativeState {
    dims('AssociativeMemory.write h', h, 'B M D', { D: this.options.dModel })
    const k = dpfp(this.kProj.forward(h), this.options.rolls) // [B, M, F]
    const v = this.vProj.forward(h)
    const beta = sigmoid(this.bProj.forward(h))
    const first = state.writes === 0
    const { value, weight } = recalled(state, k)
    const change = mul(beta, first ? v : sub(v, value))
    const counted = first || !this.options.correction ? k : mul(novelty(k, weight), k)
    return {
      memory: add(state.memory, matMul(k, change, true)),
      normaliser: add(state.normaliser, sum(counted, 1)),
      writes: state.writes + 1,
    }
  }

  /** Bytes of matrix and normaliser of one row. */
  stateBytes(): number {
    return 4 * this.features * (this.options.dModel + 1)
  }
}

/** What features `[B, T, F]` recall, and the denominator φ·z + ε, `[B, T, 1]`. */
function recalled({ memory, normaliser }: AssociativeState, phi: Tensor): { value: Tensor; weight: Tensor } {
  const weight = add(matMul(phi, expandDims(normaliser, 2)), EPS)
  return { value: div(matMul(phi, memory), weight), weight }
}

/** γ, `[B, M, 1]`: 1 for a key that nothing is stored under, 0 for one that is known. */
function novelty(k: Tensor, weight: Tensor): Tensor {
  return stopGradient(clipByValue(sub(1, div(weight, add(sum(square(k), 2, true), EPS))), 0, 1))
}

/** Deterministic parameter-free projection: products of rectified features with those `j` places before, `j = 1..ν`. */
export function dpfp(x: Tensor, rolls: number): Tensor {
  const u = concat([relu(x), relu(neg(x))], 2)
  const [B, T, W] = u.shape as [number, number, number]
  const rolled = (j: number): Tensor =>
    concat([slice(u, [0, 0, W - j], [B, T, j]), slice(u, [0, 0, 0], [B, T, W - j])], 2)
  return concat(
    Array.from({ length: rolls }, (_, j) => mul(u, rolled(j + 1))),
    2,
  )
}
