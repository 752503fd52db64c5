import { everyRow, FLOAT_EPSILON, gelu, geluSlope, type Rng, wholeNumber, xavierUniform } from '@mneme/core-tensor'
import {
  add,
  concat,
  div,
  expandDims,
  matMul,
  maximum,
  mean,
  mul,
  reshape,
  rsqrt,
  split,
  sqrt,
  square,
  sub,
  sum,
  type Tensor,
  tanh,
  util,
  zeros,
  zerosLike,
} from '@tensorflow/tfjs-core'

/**
 * Weights of an inner network: the scale γ first where the network is normed, then one matrix a layer, `[in, out]`. In
 * front of these shapes stand the axes of whatever has weights of its own: heads, or rows and heads.
 */
export type FastWeights = readonly Tensor[]

export interface MemoryNetOptions {
  /** Width of keys and values. */
  readonly width: number
  /** Layers; 1 is a matrix memory. */
  readonly depth: number
  /** Inner width over `width`, from depth 2 on. */
  readonly expansion: number
  /** Whether M(x) = x + LN(MLP x) ⊙ (1 + γ) rather than the MLP alone. */
  readonly normed: boolean
  /** Whether the error of a token is the sum over its features, or their mean. */
  readonly lossReduction: 'sum' | 'mean'
}

/** Of a memory whose state is the weights of an inner network for each head. */
export interface FastMemoryOptions {
  readonly dModel: number
  readonly nHeads: number
  /** Width of the keys and values of a head. */
  readonly dHead: number
  /** Layers of the inner network; 1 is a matrix memory. */
  readonly depth: number
  /** Inner width of that network over `dHead`. */
  readonly expansion: number
  /** Whether the inner network is x + LN(MLP x) ⊙ (1 + γ) rather than the MLP alone. */
  readonly innerNorm: boolean
  readonly momentum: boolean
  /** Largest step size. */
  readonly maxLr: number
}

/** A memory's weights before the first token, as they are learned, for `batch` rows, and its momentum, none so far. */
export function startOf(
  initialWeights: readonly Tensor[],
  momentum: boolean,
  batch: number,
): { readonly weights: FastWeights; readonly momentum: FastWeights | null } {
  const weights = initialWeights.map((W) => everyRow(W, batch)) // [B, H, ...]
  return { weights, momentum: momentum ? weights.map((W) => zerosLike(W)) : null }
}

/** What one gradient step is made of: row i of `inputs[l]` times row i of `grads[l]` is the gradient of layer l. */
export interface InnerGradient {
  /** Input of each layer, `[N, C, in]`. */
  readonly inputs: readonly Tensor[]
  /** Gradient of each token's loss at the output of each layer, `[N, C, out]`. */
  readonly grads: readonly Tensor[]
  /** Gradient by γ of each token's loss, `[N, C, K]`; null without a norm. */
  readonly gamma: Tensor | null
  /** The loss of each token, before any step size, `[N, C, 1]`. */
  readonly loss: Tensor
}

const LAYER_NORM_EPSILON = 1e-5

/**
 * The inner network of a memory that learns at test time. It holds no weights: those are state.
 *
 *   M(x) = x + LN(W_L gelu(… gelu(W_1 x))) ⊙ (1 + γ)     or the MLP alone,     ℓ(k, v) = ‖M(k) − v‖²
 *
 * x, k, v `[N, C, K]`, W_l `[N, in, out]`, γ `[N, K]`. The gradient of ℓ by the weights is a closed form of forward ops, so
 * what is built on it can be differentiated again.
 * N independent sets of weights, C tokens each: time O(N C K E), K the width, E the inner width.
 * Paper: Behrouz et al. 2025, arXiv:2501.00663, section 3.1.
 */
export class MemoryNet {
  /** Shape of each weight, in the order of `FastWeights`. */
  readonly shapes: readonly (readonly number[])[]
  /** Values of one set of weights, P. */
  readonly size: number

  constructor(readonly options: MemoryNetOptions) {
    const { width, depth, expansion, normed } = options
    wholeNumber('MemoryNet depth', depth)
    const inner = Math.trunc(width * expansion)
    const widths = [width, ...Array<number>(depth - 1).fill(inner), width]
    const layers = widths.slice(1).map((out, l) => [widths[l] as number, out])
    this.shapes = normed ? [[width], ...layers] : layers
    this.size = this.shapes.reduce((total, shape) => total + util.sizeFromShape([...shape]), 0)
  }

  /** Weights to start from, one set a head: γ zero, matrices Xavier uniform. */
  draw(heads: number, rng: Rng): Tensor[] {
    return this.shapes.map((shape) =>
      shape.length === 1
        ? zeros([heads, ...shape])
        : xavierUniform(rng, [heads, ...shape], shape[0] as number, shape[1] as number),
    )
  }

  /** M(x): x `[N, C, K]`, weights `[N, ...]`. */
  forward(weights: FastWeights, x: Tensor): Tensor {
    const { gamma, layers } = this.parts(weights)
    return this.through(x, layers.length, (z, l) => matMul(z, layers[l] as Tensor), gamma && expandDims(gamma, 1))
  }

  /** M(x) with the product of each layer and the scale given from outside, token by token where they differ. */
  through(x: Tensor, depth: number, product: (z: Tensor, layer: number) => Tensor, gamma: Tensor | null): Tensor {
    let z = product(x, 0)
    for (let l = 1; l < depth; l++) z = product(gelu(z), l)
    return gamma === null ? z : add(x, mul(layerNormed(z).normed, add(gamma, 1)))
  }

  /** γ, null where there is none, and the matrices. */
  parts(weights: FastWeights): { readonly gamma: Tensor | null; readonly layers: readonly Tensor[] } {
    return this.options.normed
      ? { gamma: weights[0] as Tensor, layers: weights.slice(1) }
      : { gamma: null, layers: weights }
  }

  /** Gradient of every token's loss at the same weights `[N, ...]`; k, v `[N, C, K]`. */
  gradient(weights: FastWeights, k: Tensor, v: Tensor): InnerGradient {
    const { gamma, layers } = this.parts(weights)
    const inputs: Tensor[] = [k]
    const sums: Tensor[] = []
    for (const [l, W] of layers.entries()) {
      const u = matMul(inputs[l] as Tensor, W)
      sums.push(u)
      if (l + 1 < layers.length) inputs.push(gelu(u))
    }
    const output = sums.at(-1) as Tensor
    const factor = this.options.lossReduction === 'sum' ? 2 : 2 / this.options.width
    let g: Tensor
    let error: Tensor
    let gammaGrad: Tensor | null = null
    if (gamma === null) {
      error = sub(output, v)
      g = mul(error, factor)
    } else {
      const { normed, inverse } = layerNormed(output)
      const scale = add(expandDims(gamma, 1), 1)
      error = sub(add(k, mul(normed, scale)), v)
      const atPrediction = mul(error, factor)
      gammaGrad = mul(atPrediction, normed)
      const atNormed = mul(atPrediction, scale)
      const along = mul(normed, mean(mul(atNormed, normed), 2, true))
      g = mul(sub(sub(atNormed, mean(atNormed, 2, true)), along), inverse)
    }
    const grads: Tensor[] = [g]
    for (let l = layers.length - 2; l >= 0; l--) {
      g = mul(matMul(g, layers[l + 1] as Tensor, false, true), geluSlope(sums[l] as Tensor))
      grads.unshift(g)
    }
    const loss = mul(sum(square(error), 2, true), factor / 2)
    return { inputs, grads, gamma: gammaGrad, loss }
  }
}

/** One row a set, `[N, P]`, of weights `[N, ...]`. */
export function flattened(weights: FastWeights): Tensor {
  return concat(
    weights.map((W) => reshape(W, [W.shape[0] as number, -1])),
    1,
  )
}

/** `[N, P]` to weights `[N, ...]` of the shapes of a network. */
export function unflattened(flat: Tensor, { shapes }: MemoryNet): FastWeights {
  const sizes = shapes.map((shape) => util.sizeFromShape([...shape]))
  return split(flat, sizes, 1).map((part, i) => reshape(part, [-1, ...(shapes[i] as readonly number[])]))
}

/** Whitened over the last axis, and one over the deviation. */
function layerNormed(x: Tensor): { readonly normed: Tensor; readonly inverse: Tensor } {
  const centred = sub(x, mean(x, 2, true))
  const inverse = rsqrt(add(mean(square(centred), 2, true), LAYER_NORM_EPSILON))
  return { normed: mul(centred, inverse), inverse }
}

/** Scales a gradient `[N, ...]` to the norm (tanh(n / (m/2)) + 1) m/2, n its own: bounded by m, and never below m/2. */
export function limited(g: Tensor, limit: number): Tensor {
  const half = limit / 2
  const axes = g.shape.slice(1).map((_, i) => i + 1)
  const norm = sqrt(maximum(sum(square(g), axes, true), FLOAT_EPSILON ** 2))
  return mul(g, div(mul(add(tanh(div(norm, half)), 1), half), norm))
}
