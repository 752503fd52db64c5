/** What a model takes, counted. */
export interface Measured {
  readonly parameters: number
  /** State of one row after as many tokens as it is trained on. */
  readonly stateBytes: number
}

/** Counts a model with these settings; null if its paper refuses them. */
export type Measure = (config: Readonly<Record<string, unknown>>) => Promise<Measured | null>

export interface Question {
  /** Every setting of the paper at its default. */
  readonly standard: Readonly<Record<string, unknown>>
  /** The settings that are to be changed as little as can be. */
  readonly given: Readonly<Record<string, unknown>>
  readonly what: keyof Measured
  readonly target: number
  readonly measure: Measure
}

export interface Solution {
  /** The given settings with the changes. */
  readonly config: Readonly<Record<string, unknown>>
  readonly changed: readonly string[]
  /** What was reached. */
  readonly value: number
  /** Share of the target that it is away. */
  readonly off: number
}

/** As near as the app promises; nearer than this no further setting is touched. */
export const closeEnough = 0.03
const nearEnough = 0.005
/** The width stays a multiple of this where it is one. */
const coarse = 8
/** Settings that are changed at most, the width among them. */
const mostKeys = 4

/**
 * Finds settings whose model has so many parameters, or so many bytes of state. The width of the model comes first, in
 * multiples of 8 where they are accepted, then whatever else counts: settings are tried, never known by name of paper.
 * Counts are taken to grow with each setting. Some 20 to 60 models are counted.
 */
export async function solve({ standard, given, what, target, measure }: Question): Promise<Solution> {
  const seen = new Map<string, number | null>()
  const countOf = async (config: Readonly<Record<string, unknown>>): Promise<number | null> => {
    const name = JSON.stringify(config)
    if (!seen.has(name)) seen.set(name, (await measure(config))?.[what] ?? null)
    return seen.get(name) ?? null
  }
  const first = await countOf(given)
  if (first === null) throw new RangeError('The settings to start from are refused by the paper. Correct them first.')
  let best: Best = { config: given, value: first, away: away(first, target) }
  let touched = 0
  const search = { standard, target, countOf }
  const [width, ...others] = keysOf({ ...standard, ...given })
  for (const key of width === undefined ? [] : [width, ...others]) {
    if (best.away <= nearEnough || touched === mostKeys) break
    const found = await along(key, key === width ? coarse : 1, best, search)
    if (found.away < best.away) {
      best = found
      touched++
    }
  }
  // a width that is no multiple of 8 is better than models that are not alike
  if (best.away > Math.log(1 + closeEnough) && width !== undefined) best = await along(width, 1, best, search)
  const changed = Object.keys(best.config).filter((key) => best.config[key] !== given[key])
  return { config: best.config, changed, value: best.value, off: (best.value - target) / target }
}

interface Best {
  readonly config: Readonly<Record<string, unknown>>
  readonly value: number
  readonly away: number
}

interface Search {
  readonly standard: Readonly<Record<string, unknown>>
  readonly target: number
  countOf(config: Readonly<Record<string, unknown>>): Promise<number | null>
}

/** Ratio to the target, whichever way. */
function away(value: number, target: number): number {
  return Math.abs(Math.log(Math.max(value, 1e-9) / target))
}

/** Widths first, then whatever is a whole number; depth, and numbers of heads before there is nothing else, stay. */
function keysOf(config: Readonly<Record<string, unknown>>): string[] {
  const rank = (key: string): number => {
    if (key === 'dModel') return 0
    if (/inner|mult/i.test(key)) return 1
    if (/^d[A-Z]/.test(key)) return 2
    if (/expan|width|slots|memory|rank/i.test(key)) return 3
    return /heads|groups/i.test(key) ? 5 : 4
  }
  return Object.entries(config)
    .filter(([key, value]) => Number.isInteger(value) && (value as number) > 0 && !/layers|seed|vocabulary/i.test(key))
    .map(([key]) => key)
    .sort((a, b) => rank(a) - rank(b))
}

/** The best along one setting, the others as they are: steps that double, then halving between the two that enclose. */
async function along(key: string, wanted: number, start: Best, { standard, target, countOf }: Search): Promise<Best> {
  const from = (start.config[key] ?? standard[key]) as number
  const grain = from % wanted === 0 ? wanted : 1
  let best = start
  const tried = async (value: number): Promise<number | null> => {
    const config = { ...start.config, [key]: value }
    if (value === standard[key]) delete (config as Record<string, unknown>)[key]
    const count = await countOf(config)
    if (count !== null && away(count, target) < best.away) best = { config, value: count, away: away(count, target) }
    return count
  }
  const up = start.value < target
  let [inner, outer] = [from, from]
  for (let doublings = 0; doublings < 8; doublings++) {
    const next = up ? outer * 2 : Math.max(grain, Math.floor(outer / 2 / grain) * grain)
    if (next === outer) break
    const count = await tried(next)
    // a setting that is refused, or that nothing follows from, is left
    if (count === null || (doublings === 0 && count === start.value)) return best
    inner = outer
    outer = next
    if (up ? count >= target : count <= target) break
  }
  let [low, high] = [Math.min(inner, outer), Math.max(inner, outer)]
  while (high - low > grain) {
    const middle = low + Math.max(grain, Math.floor((high - low) / 2 / grain) * grain)
    const found = await nearby(middle, grain, low, high, tried)
    if (found === null) break
    if (found.count < target) low = found.value
    else high = found.value
  }
  return best
}

/** The value, or an accepted one near it within the bounds. */
async function nearby(
  middle: number,
  grain: number,
  low: number,
  high: number,
  tried: (value: number) => Promise<number | null>,
): Promise<{ readonly value: number; readonly count: number } | null> {
  for (let distance = 0; distance <= 4; distance++) {
    for (const value of distance === 0 ? [middle] : [middle - distance * grain, middle + distance * grain]) {
      if (value <= low || value >= high) continue
      const count = await tried(value)
      if (count !== null) return { value, count }
    }
  }
  return null
}
