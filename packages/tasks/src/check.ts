import { unknownName } from '@mneme/core-tensor/config'

/**
 * Refuses anything but an integer in [low, high].
 *
 * @throws RangeError naming where, what was expected and what came
 */
export function checkInteger(where: string, value: number, low: number, high = Number.MAX_SAFE_INTEGER): void {
  if (Number.isInteger(value) && value >= low && value <= high) return
  const range = high === Number.MAX_SAFE_INTEGER ? `of at least ${low}` : `in [${low}, ${high}]`
  throw new RangeError(`${where}: expected an integer ${range}, got ${value}.`)
}

/**
 * Refuses a name that is not one of `known`.
 *
 * @throws RangeError with a suggestion
 */
export function checkOneOf(where: string, kind: string, name: string, known: readonly string[]): void {
  if (!known.includes(name)) throw new RangeError(unknownName(where, kind, name, known))
}
