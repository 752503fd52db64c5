import type { Tensor } from '@tensorflow/tfjs-core'

/** How gradients are found: see `vjp`. */
export type Vjp = (f: () => readonly Tensor[], xs: readonly Tensor[], dys: readonly Tensor[]) => Tensor[]

let registered: Vjp | null = null

/** Leaves with the ops what `registerGradients` brings. */
export function registerVjp(vjp: Vjp): void {
  registered = vjp
}

/**
 * What ops differentiate with. They ask here, so that an application that only runs a model need not load the rules and
 * the tape of gradients.ts.
 *
 * @throws Error if gradients are not registered, as when tfjs runs the first backward pass by itself
 */
export function registeredVjp(): Vjp {
  if (registered === null) {
    throw new Error(
      'gradients: expected registerGradients() before the forward pass, got a backward pass without it. valueAndGrads, vjp and Run call it; before gradients of tfjs itself, call it once.',
    )
  }
  return registered
}
