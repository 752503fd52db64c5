import { unknownName } from '@mneme/core-tensor/config'

/** What one name in the address may say. */
export interface Option<V> {
  /** What is meant where the address says nothing. */
  readonly standard: V
  /** @throws RangeError that names the option, what was expected and what was found */
  read(name: string, text: string): V
}

export interface NumberOption extends Option<number> {
  readonly least: number
  readonly most: number
  readonly step: 1 | 'any'
}

/** Any text. */
export function text(standard: string): Option<string> {
  return { standard, read: (_, given) => given }
}

/** One of a few words. */
export function oneOf<V extends string>(known: readonly V[], standard: NoInfer<V>): Option<V> {
  return {
    standard,
    read(name, given) {
      const found = known.find((word) => word === given)
      if (found === undefined) throw new RangeError(unknownName('address', name, given, known))
      return found
    },
  }
}

/** A number between two others, both among what it may be. */
export function number(standard: number, [least, most]: readonly [number, number]): NumberOption {
  return { standard, least, most, step: 'any', read: reader(least, most, 'any') }
}

/** A whole number likewise. */
export function whole(standard: number, [least, most]: readonly [number, number]): NumberOption {
  return { standard, least, most, step: 1, read: reader(least, most, 1) }
}

function reader(least: number, most: number, step: 1 | 'any'): Option<number>['read'] {
  return (name, given) => {
    const value = given.trim() === '' ? Number.NaN : Number(given)
    const fits = value >= least && value <= most && (step === 'any' || Number.isSafeInteger(value))
    if (fits) return value
    const kind = step === 'any' ? '' : ', a whole number,'
    throw new RangeError(`address: expected ${name}${kind} between ${least} and ${most}, got '${given}'.`)
  }
}
