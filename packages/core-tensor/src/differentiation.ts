import type { Tensor } from '@tensorflow/tfjs-core'
import type { Carried, PlainSpec } from './op.js'

/** What backward passes go by. */
export interface Differentiation {
  /** Vector-Jacobian product: see gradients.ts. */
  vjp(f: () => readonly Tensor[], xs: readonly Tensor[], dys: readonly Tensor[]): Tensor[]
  /** The gradients of an op's inputs: see op-backward.ts. */
  opGradients(
    spec: PlainSpec,
    dys: readonly Tensor[],
    saved: readonly Tensor[],
    carried: Carried,
  ): Record<string, () => Tensor>
}

let registered: Differentiation | null = null

/** Leaves with the ops what `registerGradients` brings. */
export function registerDifferentiation(found: Differentiation): void {
  registered = found
}

/**
 * What ops are differentiated with. They ask here, so that an application that only runs a model need not load it.
 *
 * @throws Error if gradients are not registered, as when tfjs runs the first backward pass by itself
 */
export function differentiation(): Differentiation {
  if (registered === null) {
    throw new Error(
      'gradients: expected registerGradients() before the forward pass, got a backward pass without it. valueAndGrads, vjp and Run call it; before gradients of tfjs itself, call it once.',
    )
  }
  return registered
}
