import {
  affine,
  dims,
  gapsOf,
  gelu,
  LayerNorm,
  Linear,
  leakyRnn,
  type Mixed,
  type MixerTraits,
  Module,
  type Pass,
  parameter,
  type Rng,
  type SequenceMixer,
  stopGradient,
  tokenAt,
  uniform,
} from '@mneme/core-tensor'
import { type Tensor, tensor2d, type Variable, zeros } from '@tensorflow/tfjs-core'

export interface ReservoirOptions {
  readonly dModel: number
  /** Units of the reservoir. */
  readonly dReservoir: number
  /** Part of a unit that is new after a token, in (0, 1]. */
  readonly leak: number
  /** Largest absolute eigenvalue of the recurrent weight; below 1 the reservoir forgets where it started. */
  readonly spectralRadius: number
  /** Part of the recurrent weights that is not 0. */
  readonly density: number
  /** Bound of the uniform input weights and biases. */
  readonly inputScale: number
  /** Whether gradients flow back through the reservoir to what comes in; the weights are fixed either way. */
  readonly backprop: boolean
}

/**
 * Reservoir of an echo-state network: a random recurrent layer that is never trained, whose states a readout makes use of.
 *
 *   r_t = (1 − a) r_{t-1} + a tanh(W_in x_t + W_res r_{t-1} + b),   y_t = r_t
 *
 * W_in `[R, D]` and b `[R]` uniform, W_res `[R, R]` sparse and scaled to its spectral radius; all fixed. Gives y
 * `[B, T, R]`. State r `[B, R]`, constant in T. Time O(T R (D + R)), token after token.
 * Source: Jaeger 2001, The echo state approach to analysing and training recurrent neural networks; leaky units as in
 * Jaeger et al. 2007.
 * Differs: W_res is held dense.
 */
export class Reservoir extends Module {
  readonly traits: MixerTraits = { causal: true, padding: true, constantState: true }
  readonly inWeight: Variable
  readonly weight: Variable
  readonly bias: Variable

  constructor(
    private readonly options: ReservoirOptions,
    rng: Rng,
  ) {
    super()
    const { dModel, dReservoir: R, leak, spectralRadius, density, inputScale } = options
    if (!(leak > 0 && leak <= 1)) throw new RangeError(`Reservoir leak: expected a number in (0, 1], got ${leak}.`)
    this.inWeight = parameter(uniform(rng, [R, dModel], -inputScale, inputScale), false)
    this.weight = parameter(tensor2d(recurrentWeights(rng, R, density, spectralRadius), [R, R]), false)
    this.bias = parameter(uniform(rng, [R], -inputScale, inputScale), false)
  }

  /** Units at rest: zeros. */
  initialState(batch: number): Tensor {
    return zeros([batch, this.options.dReservoir])
  }

  /** `[B, T, D]` to states `[B, T, R]`. */
  forward(x: Tensor, state?: Tensor, pass?: Pass): Mixed<Tensor> {
    const { dModel, leak, backprop } = this.options
    const { B, T } = dims('Reservoir.forward x', x, 'B T D', { D: dModel })
    const gaps = gapsOf('Reservoir.forward', pass, B, T)
    const { h } = leakyRnn(
      {
        projected: affine({ x, weight: this.inWeight, bias: this.bias }).y,
        weight: this.weight,
        h0: state ?? this.initialState(B),
        ...(gaps && { resets: gaps.starts, mask: gaps.tokens }),
      },
      { leak },
    )
    pass?.record?.record('state', h)
    const y = backprop ? h : stopGradient(h)
    return { y, state: tokenAt(y, T - 1) }
  }

  /** Bytes of the units of one row. */
  stateBytes(): number {
    return 4 * this.options.dReservoir
  }
}

export interface ReservoirMemoryOptions extends ReservoirOptions {
  /** Inner width of the readout. */
  readonly dReadout: number
  readonly normEps: number
}

/**
 * A reservoir with a trained readout that is not linear: the history of a sequence at constant cost.
 *
 *   y_t = W_2 gelu(W_1 LN(r_t) + b_1) + b_2
 *
 * W_1 `[F, R]`, W_2 `[D, F]`, F = dReadout. State and cost are the reservoir's. Paper: Liu and Xu 2025, arXiv:2509.24074.
 */
export class ReservoirMemory extends Module implements SequenceMixer<Tensor> {
  readonly traits: MixerTraits
  readonly reservoir: Reservoir
  readonly norm: LayerNorm
  readonly upProj: Linear
  readonly outProj: Linear

  constructor(options: ReservoirMemoryOptions, rng: Rng) {
    super()
    const { dModel, dReservoir, dReadout, normEps } = options
    this.reservoir = new Reservoir(options, rng)
    this.traits = this.reservoir.traits
    this.norm = new LayerNorm(dReservoir, normEps)
    this.upProj = new Linear(dReservoir, dReadout, rng)
    this.outProj = new Linear(dReadout, dModel, rng)
  }

  initialState(batch: number): Tensor {
    return this.reservoir.initialState(batch)
  }

  forward(x: Tensor, state?: Tensor, pass?: Pass): Mixed<Tensor> {
    const { y, state: after } = this.reservoir.forward(x, state, pass)
    return { y: this.outProj.forward(gelu(this.upProj.forward(this.norm.forward(y)))), state: after }
  }

  stateBytes(): number {
    return this.reservoir.stateBytes()
  }
}

/** Sparse normal weights, row by row, scaled so that their largest absolute eigenvalue is `radius`. */
function recurrentWeights(rng: Rng, size: number, density: number, radius: number): Float32Array {
  const weights = Float32Array.from({ length: size * size }, () => (rng.uniform() < density ? rng.normal() : 0))
  const found = spectralRadius(weights, size)
  return found === 0 ? weights : weights.map((w) => (w * radius) / found)
}

/**
 * Largest absolute eigenvalue of a square matrix, from the mean growth of a vector under many products with it: that also
 * converges where the largest eigenvalues are a complex pair. 0 for a nilpotent matrix.
 */
export function spectralRadius(weights: Float32Array, size: number, settle = 1000, measure = 4000): number {
  // a row as the columns that are not 0 and what stands there
  const rows = Array.from({ length: size }, (_, row) => {
    const columns = Array.from({ length: size }, (_, column) => column).filter((c) => weights[row * size + c] !== 0)
    return columns.map((column) => [column, weights[row * size + column] as number] as const)
  })
  let vector = Array<number>(size).fill(1)
  let logGrowth = 0
  for (let i = 0; i < settle + measure; i++) {
    const next = rows.map((row) => row.reduce((total, [column, w]) => total + w * (vector[column] as number), 0))
    const length = Math.hypot(...next)
    if (length === 0) return 0
    if (i >= settle) logGrowth += Math.log(length)
    vector = next.map((value) => value / length)
  }
  return Math.exp(logGrowth / measure)
}
