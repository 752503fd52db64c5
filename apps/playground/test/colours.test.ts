import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { colourOf, type Rgb, type Theme } from '../src/picture/scale'

/** Linear red, green and blue as somebody without one kind of cone sees them: Machado et al. 2009, severity 1. */
const eyes: Readonly<Record<string, readonly (readonly number[])[]>> = {
  common: [
    [1, 0, 0],
    [0, 1, 0],
    [0, 0, 1],
  ],
  protanopia: [
    [0.152286, 1.052583, -0.204868],
    [0.114503, 0.786281, 0.099216],
    [-0.003882, -0.048116, 1.051998],
  ],
  deuteranopia: [
    [0.367322, 0.860646, -0.227968],
    [0.280085, 0.672501, 0.047413],
    [-0.01182, 0.04294, 0.968881],
  ],
  tritanopia: [
    [1.255528, -0.076749, -0.178779],
    [-0.078411, 0.930809, 0.147602],
    [0.004733, 0.691367, 0.3039],
  ],
}
const kinds = Object.keys(eyes).flatMap((eye) => (['light', 'dark'] as const).map((theme) => [eye, theme] as const))

/** CIE L*a*b* of a colour seen by such eyes, under D65. */
function lab(colour: Rgb, eye: string): readonly [L: number, a: number, b: number] {
  const linear = colour.map((part) => {
    const share = part / 255
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4
  })
  const dot = (row: readonly number[], v: readonly number[]): number =>
    row.reduce((sum, x, i) => sum + x * (v[i] ?? 0), 0)
  const seen = (eyes[eye] ?? []).map((row) => Math.min(1, Math.max(0, dot(row, linear))))
  const f = (t: number): number => (t > 0.008856 ? Math.cbrt(t) : 7.787 * t + 16 / 116)
  const x = f(dot([0.4124, 0.3576, 0.1805], seen) / 0.95047)
  const y = f(dot([0.2126, 0.7152, 0.0722], seen))
  const z = f(dot([0.0193, 0.1192, 0.9505], seen) / 1.08883)
  return [116 * y - 16, 500 * (x - y), 200 * (y - z)]
}

/** ΔE of 1976: about 2.3 is the least that is noticed side by side. */
function apart(one: Rgb, other: Rgb, eye: string): number {
  const [a, b] = [lab(one, eye), lab(other, eye)]
  return Math.hypot(...a.map((part, i) => part - (b[i] as number)))
}

/** Far enough to name which is which when they are not side by side. */
const clearly = 15

const styles = readFileSync(fileURLToPath(new URL('../src/style/base.css', import.meta.url)), 'utf8')

function runColours(theme: Theme): Rgb[] {
  const found = Array.from(styles.matchAll(/--run-[a-d]: #([0-9a-f]{6})/g), ([, hex]): Rgb => {
    const value = Number.parseInt(hex as string, 16)
    return [value >> 16, (value >> 8) & 255, value & 255]
  })
  expect(found).toHaveLength(8)
  return theme === 'light' ? found.slice(0, 4) : found.slice(4)
}

describe.each(kinds)('with %s, in %s', (eye, theme) => {
  test('a range is ordered by lightness alone', () => {
    const scale = { kind: 'range', low: 0, high: 1 } as const
    const lightness = Array.from({ length: 21 }, (_, i) => lab(colourOf(scale, i / 20, theme), eye)[0])
    const steps = lightness.slice(1).map((L, i) => (theme === 'light' ? -1 : 1) * (L - (lightness[i] as number)))
    for (const step of steps) expect(step).toBeGreaterThan(1)
  })

  test('a value is told from its negative, and a large one from a small one', () => {
    const scale = { kind: 'signed', low: -1, high: 1 } as const
    const at = (value: number): Rgb => colourOf(scale, value, theme)
    for (const size of [0.25, 0.5, 0.75, 1]) {
      expect(apart(at(size), at(-size), eye)).toBeGreaterThan(clearly)
      for (const sign of [-1, 1]) expect(apart(at(sign * size), at(sign * (size - 0.25)), eye)).toBeGreaterThan(5)
    }
  })

  test('the runs are told apart', () => {
    const colours = runColours(theme)
    for (const [i, one] of colours.entries()) {
      for (const other of colours.slice(i + 1)) expect(apart(one, other, eye)).toBeGreaterThan(clearly)
    }
  })
})
