import { type Slot, slots } from '../experiment/address'

/** How the curves of one place on the page are told from those of another: by hue, by dash, and by dot. */
export interface RunStyle {
  readonly colour: string
  readonly dash: readonly number[]
  readonly filled: boolean
}

const dashes: Record<Slot, readonly number[]> = { a: [], b: [10, 5], c: [3, 3], d: [14, 4, 3, 4] }

/** As the style sheet has them, in the theme at hand. */
export function runStyles(element: Element): Record<Slot, RunStyle> {
  const style = getComputedStyle(element)
  const entries = slots.map((slot, i): [Slot, RunStyle] => [
    slot,
    { colour: style.getPropertyValue(`--run-${slot}`).trim(), dash: dashes[slot], filled: i % 2 === 0 },
  ])
  return Object.fromEntries(entries) as Record<Slot, RunStyle>
}

/** For drawings in SVG. */
export function dashOf(slot: Slot): string {
  return dashes[slot].join(' ')
}
