import { distance, closest as nearest } from 'fastest-levenshtein'

/** The candidate nearest to a misspelt name, if any is near enough to be meant. */
export function closest(name: string, candidates: readonly string[]): string | undefined {
  if (candidates.length === 0) return undefined
  const best = nearest(name, candidates)
  return distance(name, best) <= Math.max(2, Math.floor(name.length / 3)) ? best : undefined
}

/** `no such <kind>` with a suggestion and the list of what there is. */
export function unknownName(where: string, kind: string, name: string, known: readonly string[]): string {
  const near = closest(name, known)
  const hint = near === undefined ? '' : ` Did you mean '${near}'?`
  const shown = known.length > 12 ? `${known.slice(0, 12).join(', ')}, ... (${known.length})` : known.join(', ')
  return `${where}: no such ${kind} '${name}'.${hint} Known: ${shown}.`
}

/**
 * Lays `given` over complete defaults. Every key must exist there and have the same kind of value; nested objects are
 * checked likewise. A default of null takes any value.
 *
 * @throws RangeError for an unknown key, with a suggestion; TypeError for a value of another kind
 */
export function withDefaults<C extends object>(where: string, defaults: C, given: object | undefined): C {
  const result = { ...defaults } as Record<string, unknown>
  for (const [key, value] of Object.entries(given ?? {})) {
    if (!Object.hasOwn(defaults, key)) throw new RangeError(unknownName(where, 'key', key, Object.keys(defaults)))
    if (value === undefined) continue
    const standard = (defaults as Record<string, unknown>)[key]
    if (isPlain(standard) && isPlain(value)) {
      result[key] = withDefaults(`${where}.${key}`, standard, value)
      continue
    }
    if (standard !== null && value !== null && kindOf(standard) !== kindOf(value)) {
      throw new TypeError(
        `${where}.${key}: expected ${kindOf(standard)}, got ${kindOf(value)} ${JSON.stringify(value)}.`,
      )
    }
    if (typeof value === 'number' && !Number.isFinite(value) && Number.isFinite(standard)) {
      throw new RangeError(`${where}.${key}: expected a finite number, got ${value}.`)
    }
    result[key] = value
  }
  return result as C
}

function isPlain(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function kindOf(value: unknown): string {
  return Array.isArray(value) ? 'array' : value === null ? 'null' : typeof value
}
