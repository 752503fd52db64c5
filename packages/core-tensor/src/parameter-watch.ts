import { util, type Variable } from '@tensorflow/tfjs-core'

/** Who is asked before memory is taken for initial values, and told of each parameter that was made. */
export interface ParameterWatch {
  asked(elements: number): void
  made(v: Variable): void
}

let current: ParameterWatch | null = null

/** Sets who watches, or null for nobody; returns who did. */
export function watchParameters(watch: ParameterWatch | null): ParameterWatch | null {
  const before = current
  current = watch
  return before
}

/**
 * The number of elements of a shape, before memory is taken for them.
 *
 * @throws RangeError if a size is none; what a watch throws
 */
export function askElements(shape: readonly number[]): number {
  if (!shape.every((size) => Number.isSafeInteger(size) && size > 0)) {
    throw new RangeError(`parameter: expected sizes that are whole numbers above 0, got [${shape.join(', ')}].`)
  }
  const elements = util.sizeFromShape([...shape])
  current?.asked(elements)
  return elements
}

/** After a parameter was made. */
export function tellMade(v: Variable): void {
  current?.made(v)
}
