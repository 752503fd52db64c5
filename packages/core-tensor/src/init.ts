import { type Tensor, tensor, zeros } from '@tensorflow/tfjs-core'
import { askElements } from './parameter-watch.js'
import type { Rng } from './rng.js'

/**
 * Made on the CPU, so that a seed gives the same weights on every backend: one value after the other, by its place, counted
 * from 0 over all axes.
 */
export function draw(shape: readonly number[], next: (place: number) => number): Tensor {
  const length = askElements(shape)
  return tensor(
    Float32Array.from({ length }, (_, place) => next(place)),
    [...shape],
    'float32',
  )
}

/** Values of a normal distribution around 0 of deviation `std`. */
export function normal(rng: Rng, shape: readonly number[], std: number): Tensor {
  return draw(shape, () => std * rng.normal())
}

/** Values drawn evenly from `low` up to `high`. */
export function uniform(rng: Rng, shape: readonly number[], low: number, high: number): Tensor {
  return draw(shape, () => low + (high - low) * rng.uniform())
}

/** PyTorch's default for a Linear: uniform in ±1/sqrt(fan in). */
export function linearUniform(rng: Rng, shape: readonly number[], fanIn: number): Tensor {
  const bound = 1 / Math.sqrt(fanIn)
  return uniform(rng, shape, -bound, bound)
}

/** Xavier (Glorot and Bengio 2010), uniform in ±sqrt(6 / (fan in + fan out)). */
export function xavierUniform(rng: Rng, shape: readonly number[], fanIn: number, fanOut: number): Tensor {
  const bound = Math.sqrt(6 / (fanIn + fanOut))
  return uniform(rng, shape, -bound, bound)
}

/** One value throughout. */
export function constant(shape: readonly number[], value: number): Tensor {
  if (value !== 0) return draw(shape, () => value)
  askElements(shape)
  return zeros([...shape])
}

/**
 * Logarithms of rates of decay that start uniform in (0, 16].
 * Source: Yang et al. 2024, arXiv:2412.06464, the authors' code.
 */
export function logRateStart(rng: Rng, shape: readonly number[]): Tensor {
  return draw(shape, () => Math.log(1e-4 + 16 * rng.uniform()))
}

/**
 * Biases under a softplus that start time steps log-uniformly in [0.001, 0.1].
 * Source: Gu and Dao 2023, arXiv:2312.00752, section 3.6.
 */
export function timeStepBias(rng: Rng, shape: readonly number[]): Tensor {
  return draw(shape, () => {
    const step = Math.max(Math.exp(Math.log(0.001) + rng.uniform() * Math.log(100)), 1e-4)
    return step + Math.log(-Math.expm1(-step))
  })
}
