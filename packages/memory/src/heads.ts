import { constant, FLOAT_EPSILON, Module, mapState, parameter, rmsNorm, type State } from '@mneme/core-tensor'
import { add, mul, reshape, type Tensor, transpose, type Variable } from '@tensorflow/tfjs-core'

/** `[B, T, H W]` to `[B H, T, W]`: every head of every row a sequence of its own. */
export function splitHeads(x: Tensor, H: number): Tensor {
  const [B, T, width] = x.shape as [number, number, number]
  return reshape(transpose(reshape(x, [B, T, H, width / H]), [0, 2, 1, 3]), [B * H, T, width / H])
}

/** `[B H, T, W]` to `[B, T, H W]`. */
export function joinHeads(x: Tensor, H: number): Tensor {
  const [N, T, W] = x.shape as [number, number, number]
  return reshape(transpose(reshape(x, [N / H, H, T, W]), [0, 2, 1, 3]), [N / H, T, H * W])
}

/** A state of `[B, H, ...]` as `[B H, ...]`. */
export function mergeRows<S extends State>(state: S): S {
  return mapState(state, (W) => reshape(W, [-1, ...W.shape.slice(2)]))
}

/** A state of `[B H, ...]` as `[B, H, ...]`. */
export function partRows<S extends State>(state: S, H: number): S {
  return mapState(state, (W) => reshape(W, [-1, H, ...W.shape.slice(1)]))
}

/** Root mean square normalisation of each head by itself, `[B H, T, K]`, scaled by 1 + γ. */
export class HeadNorm extends Module {
  readonly gamma: Variable

  constructor(
    private readonly nHeads: number,
    private readonly dHead: number,
  ) {
    super()
    this.gamma = parameter(constant([nHeads, 1, dHead], 0))
  }

  /** `[B H, T, K]` to the same. */
  forward(x: Tensor): Tensor {
    const normed = rmsNorm({ x: reshape(x, [-1, this.dHead]) }, { eps: FLOAT_EPSILON }).y
    const byHead = reshape(normed, [-1, this.nHeads, x.shape[1] as number, this.dHead])
    return reshape(mul(byHead, add(this.gamma, 1)), x.shape)
  }
}
