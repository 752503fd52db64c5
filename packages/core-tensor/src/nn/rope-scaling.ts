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

/** What a scaling makes of the angle from one position to the next: `stretch` of `RotaryOptions`. */
export function ropeStretch(scaling: RopeScaling | null): ((frequency: number) => number) | null {
  if (scaling === null) return null
  const { factor } = scaling
  if (scaling.type === 'linear') return (frequency) => frequency / factor
  if (scaling.type !== 'llama3') {
    throw new RangeError(`ropeScaling type: expected linear or llama3, got ${(scaling as { type?: unknown }).type}.`)
  }
  const { originalLength, lowFreqFactor, highFreqFactor } = scaling
  return (frequency) => {
    const turns = (originalLength * frequency) / (2 * Math.PI)
    const kept = (turns - lowFreqFactor) / (highFreqFactor - lowFreqFactor)
    const share = Math.min(1, Math.max(0, kept))
    return frequency * (share + (1 - share) / factor)
  }
}
