/** How published checkpoints stretch the angles beyond the trained length. */
export type RopeScaling =
  | { readonly type: 'linear'; readonly factor: number }
  | {
      readonly type: 'llama3'
      readonly factor: number
      readonly lowFreqFactor: number
      readonly highFreqFactor: number
      readonly originalLength: number
    }

/** Angles from one position to the next, one a pair of features, of a base and stretched: what `Rotary` takes. */
export function scaledFrequencies(dims: number, base: number, scaling: RopeScaling | null): number[] {
  return Array.from({ length: dims / 2 }, (_, m) => stretched(base ** ((-2 * m) / dims), scaling))
}

function stretched(frequency: number, scaling: RopeScaling | null): number {
  if (scaling === null) return frequency
  if (scaling.type === 'linear') return frequency / scaling.factor
  const turns = (scaling.originalLength * frequency) / (2 * Math.PI)
  const kept = (turns - scaling.lowFreqFactor) / (scaling.highFreqFactor - scaling.lowFreqFactor)
  const share = Math.min(1, Math.max(0, kept))
  return frequency * (share + (1 - share) / scaling.factor)
}
