/** How numbers become colours: magnitudes from nothing up, signed values from a neutral zero to either side. */
export interface Scale {
  readonly kind: 'range' | 'signed'
  readonly low: number
  readonly high: number
}

/** From 0 to the largest value, or where all lie close together, from the smallest. */
export function scaleOf(values: Iterable<number>): Scale {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]
  for (const value of values) {
    if (!Number.isFinite(value)) continue
    low = Math.min(low, value)
    high = Math.max(high, value)
  }
  if (low > high) return { kind: 'range', low: 0, high: 1 }
  if (low < 0) {
    const reach = Math.max(-low, high)
    return { kind: 'signed', low: -reach, high: reach }
  }
  const spread = high - low
  return { kind: 'range', low: low > 2 * spread && spread > 0 ? low : 0, high: high === 0 ? 1 : high }
}

/** Blue and orange are told apart by every common kind of colour blindness; lightness alone orders a range. */
const stops = {
  light: {
    range: ['#f5f2e9', '#c9dde8', '#85b7d5', '#3f86b8', '#17558c', '#062650'],
    signed: ['#7a2c00', '#c2500a', '#efab73', '#f5f2e9', '#8dbfe0', '#0b6fae', '#053a63'],
  },
  dark: {
    range: ['#1d2226', '#1f3f5a', '#1f6695', '#3d94c6', '#8dc5e7', '#eaf5fd'],
    signed: ['#ffdcae', '#f0a04b', '#8a5217', '#1d2226', '#1d557f', '#62b5ec', '#d8eefb'],
  },
} as const

export type Theme = keyof typeof stops
export type Rgb = readonly [red: number, green: number, blue: number]

/** Colour of a value; what is no number, or lies outside, gets the nearest end. */
export function colourOf({ kind, low, high }: Scale, value: number, theme: Theme): Rgb {
  const list = stops[theme][kind]
  const share = high > low ? Math.min(1, Math.max(0, (value - low) / (high - low))) : 0
  const at = (Number.isNaN(share) ? 0 : share) * (list.length - 1)
  const below = Math.min(list.length - 2, Math.floor(at))
  const [a, b] = [rgb(list[below] as string), rgb(list[below + 1] as string)]
  return [0, 1, 2].map((i) =>
    Math.round((a[i] as number) + (at - below) * ((b[i] as number) - (a[i] as number))),
  ) as never
}

function rgb(hex: string): Rgb {
  const value = Number.parseInt(hex.slice(1), 16)
  return [value >> 16, (value >> 8) & 255, value & 255]
}

/** Three figures, as short as they can be read. */
export function shortNumber(value: number): string {
  if (!Number.isFinite(value)) return String(value)
  const size = Math.abs(value)
  if (size !== 0 && (size < 1e-3 || size >= 1e5)) return value.toExponential(1).replace('e+', 'e')
  return String(Number(value.toPrecision(3)))
}
