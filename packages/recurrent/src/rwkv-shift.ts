import { draw, parameter } from '@mneme/core-tensor'
import { add, mul, sub, type Tensor, type Variable } from '@tensorflow/tfjs-core'

/** Where a layer stands: starting values change with depth. */
export interface RwkvDepth {
  readonly layer: number
  readonly nLayers: number
}

/** Share of the depth: 0 to 1 from the first layer to the last, and 1 down to 1/L. */
export function shareOfDepth({ layer, nLayers }: RwkvDepth): { readonly rising: number; readonly falling: number } {
  return { rising: nLayers === 1 ? 0 : layer / (nLayers - 1), falling: 1 - layer / nLayers }
}

/** Place of a channel among `width`, from 0 to 1. */
export const along = (channel: number, width: number): number => (width === 1 ? 0 : channel / (width - 1))

/** Shares that blends start with, `[D]`: they rise from channel to channel, the steeper the higher the power. */
export function mixStart(D: number, power: number, of: 'current' | 'previous', more = 0): Variable {
  const share = (i: number): number => (i / D) ** power + more
  return parameter(draw([D], (i) => (of === 'current' ? share(i) : 1 - share(i))))
}

/**
 * A blend of each token with the one before. `mix` `[D]` is the share of the current token, as in RWKV-4 and 5, or of the
 * previous one, as from RWKV-6 on.
 */
export function mixShift(x: Tensor, before: Tensor, mix: Tensor, of: 'current' | 'previous'): Tensor {
  return of === 'current' ? add(before, mul(sub(x, before), mix)) : add(x, mul(sub(before, x), mix))
}
