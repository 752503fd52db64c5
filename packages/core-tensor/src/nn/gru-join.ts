import { add, mul, relu, sigmoid, slice, sub, type Tensor, tanh, type Variable } from '@tensorflow/tfjs-core'
import type { Join } from '../depth.js'
import { constant } from '../init.js'
import { Module, parameter } from '../module.js'
import type { Rng } from '../rng.js'
import { Linear, type LinearOptions } from './linear.js'

/**
 * A branch y joins the stream x by a gate, which starts near to letting x through as it is.
 *
 *   r = σ(W_r y + U_r x),   z = σ(W_z y + U_z x − b),   h = tanh(W_h y + U_h (r ⊙ x)),   (1 − z) ⊙ x + z ⊙ h
 *
 * Paper: Parisotto et al. 2019, arXiv:1910.06764, section 3.2.
 */
export class GruJoin extends Module implements Join {
  /** W, rows of r, z and h: `[3 D, D]`. */
  readonly branchProj: Linear
  /** U, rows of r and z: `[2 D, D]`. */
  readonly streamProj: Linear
  /** U of h. */
  readonly resetProj: Linear
  /** b, `[D]` */
  readonly bias: Variable

  constructor(
    private readonly dModel: number,
    rng: Rng,
    /** `rectified`: relu y is what joins. */
    private readonly options: {
      readonly bias: number
      readonly rectified: boolean
      readonly init?: LinearOptions['init']
    },
  ) {
    super()
    const map = { bias: false, ...(options.init && { init: options.init }) }
    this.branchProj = new Linear(dModel, 3 * dModel, rng, map)
    this.streamProj = new Linear(dModel, 2 * dModel, rng, map)
    this.resetProj = new Linear(dModel, dModel, rng, map)
    this.bias = parameter(constant([dModel], options.bias))
  }

  /** Both `[B, T, D]`. */
  forward(branch: Tensor, x: Tensor): Tensor {
    const [B, T] = x.shape as [number, number]
    const D = this.dModel
    const rows = (all: Tensor, n: number): Tensor => slice(all, [0, 0, n * D], [B, T, D])
    const w = this.branchProj.forward(this.options.rectified ? relu(branch) : branch)
    const u = this.streamProj.forward(x)
    const r = sigmoid(add(rows(w, 0), rows(u, 0)))
    const z = sigmoid(sub(add(rows(w, 1), rows(u, 1)), this.bias))
    const h = tanh(add(rows(w, 2), this.resetProj.forward(mul(r, x))))
    return add(x, mul(z, sub(h, x)))
  }
}
