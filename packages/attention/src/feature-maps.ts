import { eluPlusOne, Rng } from '@mneme/core-tensor'
import {
  add,
  concat,
  expandDims,
  matMul,
  mul,
  onesLike,
  relu,
  reshape,
  slice,
  square,
  sub,
  sum,
  type Tensor,
  tensor2d,
} from '@tensorflow/tfjs-core'

/** Features whose products stand for the weight that a query gives a key. */
export interface FeatureMap {
  /** Features of a head of K channels. */
  width(K: number): number
  /** `[..., K]` to `[..., width]`, of queries and keys alike. */
  features(x: Tensor): Tensor
  /** Whether `features` gives logarithms of them, so that none overflows. */
  readonly logarithmic: boolean
}

const pointwise = (features: (x: Tensor) => Tensor): FeatureMap => ({
  width: (K) => K,
  features,
  logarithmic: false,
})

/** x + 1 above 0, e^x below. Katharopoulos et al. 2020, arXiv:2006.16236, section 3.2. */
export const eluFeatures: FeatureMap = /* @__PURE__ */ pointwise(eluPlusOne)

/** max(x, 0): features may all vanish, and then so does the weight. */
export const reluFeatures: FeatureMap = /* @__PURE__ */ pointwise(relu)

/**
 * Second-order Taylor series of e^(q·k/√K): products are 1 + s + s²/2, s = q·k/√K, which is never below 1/2.
 * 1 + K + K² features. Arora et al. 2024, arXiv:2402.18668, section 3.
 */
export const taylorFeatures: FeatureMap = {
  width: (K) => 1 + K + K * K,
  features(x) {
    const K = x.shape[x.rank - 1] as number
    const scaled = mul(x, K ** -0.25)
    const pairs = mul(expandDims(scaled, -1), expandDims(scaled, -2))
    const second = reshape(mul(pairs, Math.SQRT1_2), [...x.shape.slice(0, -1), K * K])
    const one = onesLike(
      slice(
        x,
        x.shape.map(() => 0),
        [...x.shape.slice(0, -1), 1],
      ),
    )
    return concat([one, scaled, second], -1)
  },
  logarithmic: false,
}

export interface FavorOptions {
  readonly dHead: number
  /** Random features; K ln K of them are a good start. */
  readonly features: number
  /** Another seed is another draw. */
  readonly seed: number
  /** Directions that stand at right angles in blocks of K, for less variance; independent ones if not. */
  readonly orthogonal?: boolean
  /** Lengths as of Gaussian vectors, or all √K. */
  readonly lengths?: 'gaussian' | 'constant'
  /** Positive features of the softmax, or of a rectifier. */
  readonly kernel?: 'softmax' | 'relu'
}

/**
 * FAVOR+: positive random features, without bias for the softmax kernel.
 *
 *   φ_i(x) = F^(-1/2) exp(w_i·x̃ − |x̃|²/2),   x̃ = K^(-1/4) x,   so that E[φ(q)·φ(k)] = exp(q·k/√K)
 *
 * w `[F, K]`, drawn from the seed, not trained. The `relu` kernel is max(w_i·x̃, 0) + 0.001.
 * Paper: Choromanski et al. 2020, arXiv:2009.14794, sections 2.3 and 2.4.
 * Differs: nothing is added to the exponential, since its scale is the caller's to choose.
 */
export function favorFeatures(options: FavorOptions): FeatureMap {
  const { dHead: K, features: F, kernel = 'softmax' } = options
  const directions = favorDirections(options)
  const projected = (x: Tensor): Tensor => {
    const rows = reshape(x, [-1, K])
    return reshape(matMul(rows, tensor2d(directions, [F, K]), false, true), [...x.shape.slice(0, -1), F])
  }
  return {
    width: () => F,
    features(x) {
      const scaled = mul(x, K ** -0.25)
      if (kernel === 'relu') return add(relu(projected(scaled)), 1e-3)
      const half = mul(sum(square(scaled), -1, true), 0.5)
      return sub(projected(scaled), add(half, 0.5 * Math.log(F)))
    },
    logarithmic: kernel === 'softmax',
  }
}

/** The vectors w of `favorFeatures`, `[F, K]` row by row. */
export function favorDirections({
  dHead: K,
  features: F,
  seed,
  orthogonal = true,
  lengths = 'gaussian',
}: FavorOptions): Float32Array {
  const rng = new Rng(seed)
  const gaussian = (): Float64Array => Float64Array.from({ length: K }, () => rng.normal())
  const result = new Float32Array(F * K)
  let block: Float64Array[] = []
  for (let i = 0; i < F; i++) {
    if (i % K === 0) block = []
    const drawn = gaussian()
    const direction = orthogonal ? apart(drawn, block) : drawn
    block.push(direction)
    const wanted = lengths === 'constant' ? Math.sqrt(K) : orthogonal ? norm(gaussian()) : norm(direction)
    const scale = wanted / norm(direction)
    for (let c = 0; c < K; c++) result[i * K + c] = scale * (direction[c] as number)
  }
  return result
}

const dot = (a: Float64Array, b: Float64Array): number => a.reduce((total, x, c) => total + x * (b[c] as number), 0)
const norm = (a: Float64Array): number => Math.sqrt(dot(a, a))

/** What of `x` is at right angles to vectors that are so to each other; taken twice, since once leaves rounding. */
function apart(x: Float64Array, others: readonly Float64Array[]): Float64Array {
  let rest = x
  for (let round = 0; round < 2; round++) {
    for (const other of others) {
      const share = dot(rest, other) / dot(other, other)
      rest = rest.map((value, c) => value - share * (other[c] as number))
    }
  }
  return rest
}
