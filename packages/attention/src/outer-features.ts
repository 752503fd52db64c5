import {
  constant,
  type Gaps,
  Linear,
  type LinearOptions,
  linearScan,
  Module,
  overGaps,
  type Rng,
  tokenAt,
} from '@mneme/core-tensor'
import { expandDims, mul, relu, reshape, sigmoid, split, sub, type Tensor } from '@tensorflow/tfjs-core'

export interface OuterFeaturesOptions {
  readonly dModel: number
  readonly nHeads: number
  readonly dHead: number
  /** η, features of a head over its width. */
  readonly expansion: number
  readonly projection?: LinearOptions
}

/** What tokens are to gated linear attention, head by head. */
export interface GatedHeads {
  /** φ(k) and φ(q), `[B, T, H, F]`, never negative. */
  readonly k: Tensor
  readonly q: Tensor
  /** `[B, T, H, K]` */
  readonly v: Tensor
  /** How much of the values is new, `[B, T, H, K]`, and of the keys, `[B, T, H, F]`, both in (0, 1). */
  readonly beta: Tensor
  readonly gamma: Tensor
}

/**
 * Linear maps to keys, queries, values and gates of heads, whose features are outer products with a few more numbers:
 * φ(x) = relu(x) ⊗ relu(p), γ = σ(g) ⊗ σ(p'), F = η K wide; and back from heads. x, g `[B, T, H, K]`, p `[B, T, H, η]`. Time
 * O(T D² + T H F). Source: Pramanik et al. 2023, arXiv:2310.15719, section 3.
 */
export abstract class OuterFeatures extends Module {
  /** Keys, queries, values, and the gates β and γ. */
  readonly inProj: Linear
  /** What keys, queries and γ are multiplied out with. */
  readonly featureProj: Linear
  readonly oProj: Linear
  /** F */
  protected readonly features: number

  constructor(
    private readonly sizes: OuterFeaturesOptions,
    rng: Rng,
  ) {
    super()
    const { dModel: D, nHeads: H, dHead: K, expansion, projection = {} } = sizes
    const zeroBias = { biasInit: (_: Rng, shape: readonly number[]) => constant(shape, 0), ...projection }
    this.inProj = new Linear(D, 5 * H * K, rng, zeroBias)
    this.featureProj = new Linear(D, 3 * H * expansion, rng, zeroBias)
    this.oProj = new Linear(H * K, D, rng, zeroBias)
    this.features = expansion * K
  }

  /** x `[B, T, D]` */
  protected gatedHeads(x: Tensor): GatedHeads {
    const { nHeads: H, dHead: K, expansion } = this.sizes
    const [B, T] = x.shape as [number, number]
    const parts = (proj: Linear, count: number, width: number): Tensor[] =>
      split(proj.forward(x), count, 2).map((part) => reshape(part, [B, T, H, width]))
    const [k, q, v, beta, gamma] = parts(this.inProj, 5, K) as [Tensor, Tensor, Tensor, Tensor, Tensor]
    const [pK, pQ, pGamma] = parts(this.featureProj, 3, expansion) as [Tensor, Tensor, Tensor]
    const outer = (a: Tensor, b: Tensor): Tensor =>
      reshape(mul(expandDims(a, 4), expandDims(b, 3)), [B, T, H, this.features])
    return {
      k: outer(relu(k), relu(pK)),
      q: outer(relu(q), relu(pQ)),
      v,
      beta: sigmoid(beta),
      gamma: outer(sigmoid(gamma), sigmoid(pGamma)),
    }
  }
}

/**
 * `h_t = (1 − gate_t) ⊙ h_{t-1} + written_t`, gate and written of one shape `[B, T, ...]`, before `[B, ...]`: the states
 * of all tokens, and the last.
 */
export function faded(
  gate: Tensor,
  written: Tensor,
  before: Tensor,
  gaps: Gaps | null,
): { readonly all: Tensor; readonly last: Tensor } {
  const [B, T, ...rest] = written.shape as [number, number, ...number[]]
  const flat = (x: Tensor): Tensor => reshape(x, [B, T, -1])
  const { h } = linearScan({ ...overGaps(flat(sub(1, gate)), flat(written), gaps), h0: reshape(before, [B, -1]) })
  return { all: reshape(h, written.shape), last: reshape(tokenAt(h, T - 1), [B, ...rest]) }
}
