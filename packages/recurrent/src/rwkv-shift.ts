import { add, mul, sub, type Tensor } from '@tensorflow/tfjs-core'

/** Where a layer stands: starting values change with depth. */
export interface RwkvDepth {
  readonly layer: number
  readonly nLayers: number
}

/** Share of the depth: 0 to 1 from the first layer to the last, and 1 down to 1/L. */
export function shareOfDepth({ layer, nLayers }: RwkvDepth): { readonly rising: number; readonly falling: number } {
  return { rising: nLayers === 1 ? 0 : layer / (nLayers - 1), falling: 1 - layer / nLayers }
}

/**
 * A blend of each token with the one before. `mix` `[D]` is the share of the current token, as in RWKV-4 and 5, or of the
 * previous one, as from RWKV-6 on.
 */
export function mixShift(x: Tensor, before: Tensor, mix: Tensor, of: 'current' | 'previous'): Tensor {
  return of === 'current' ? add(before, mul(sub(x, before), mix)) : add(x, mul(sub(before, x), mix))
}
