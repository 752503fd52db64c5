import { logSigmoid, Module } from '@mneme/core-tensor'
import {
  add,
  cumsum,
  exp,
  log1p,
  maximum,
  mul,
  neg,
  reshape,
  sigmoid,
  slice,
  softmax,
  softplus,
  sub,
  type Tensor,
  transpose,
  type Variable,
} from '@tensorflow/tfjs-core'

/**
 * Lower bounds of all layers from one parameter Γ `[L, D]`: `cumsum(softmax(Γ)) − softmax(Γ)_0` over layers. The first is
 * zero and they rise with depth, so that low layers stay local and high layers remember long.
 * Source: Qin et al. 2023, arXiv:2311.04823, section 3.2.
 */
export function lowerBounds(gamma: Tensor): Tensor {
  const shares = transpose(softmax(transpose(gamma))) as Tensor
  return sub(cumsum(shares, 0), slice(shares, [0, 0], [1, gamma.shape[1] as number]))
}

/** Least value of the forget gates of one layer, `[D]` in [0, 1). All layers of a model share Γ. */
export class LowerBound extends Module {
  /** @param gamma Γ `[L, D]`, zero for bounds that rise evenly */
  constructor(
    readonly gamma: Variable,
    private readonly layer: number,
  ) {
    super()
  }

  /** The bounds of one layer, `[D]`, in [0, 1). */
  value(): Tensor {
    const [, D] = this.gamma.shape as [number, number]
    return reshape(slice(lowerBounds(this.gamma), [this.layer, 0], [1, D]), [D])
  }
}

/** f = b + (1 − b) σ(x) and 1 − f = (1 − b) σ(−x), which loses nothing where the gate is all but open. */
export function boundedGates(x: Tensor, bound: LowerBound | null): { readonly forget: Tensor; readonly input: Tensor } {
  const [open, shut] = [sigmoid(x), sigmoid(neg(x))]
  if (bound === null) return { forget: open, input: shut }
  const least = bound.value()
  const room = sub(1, least)
  return { forget: add(least, mul(room, open)), input: mul(room, shut) }
}

/** No gate shuts further than e^-80, whose inverse is still finite. */
const SHUT = -80

/** `ln(b + (1 − b) σ(x))`, exact to its last digits both where the gate is all but open and where it is shut. */
export function boundedLogForget(x: Tensor, bound: LowerBound | null): Tensor {
  if (bound === null) return logSigmoid(x)
  const gate = maximum(x, SHUT)
  return sub(log1p(mul(bound.value(), exp(neg(gate)))), softplus(neg(gate)))
}
