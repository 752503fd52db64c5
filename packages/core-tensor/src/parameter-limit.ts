import type { Variable } from '@tensorflow/tfjs-core'

interface Limit {
  readonly where: string
  readonly elements: number
  readonly made: Variable[]
  spent: number
}

/** Names of parameters, ten times what the largest models without experts have. */
const mostParameters = 20_000

let current: Limit | null = null

/**
 * Builds a model that may have at most so many elements of parameters: a configuration from elsewhere can ask for any
 * size, and must not take the memory before it is found out. What was made until then is freed.
 *
 * @throws RangeError once more are asked for; what `build` throws
 */
export function withinParameters<T>(where: string, elements: number, build: () => T): T {
  const outer = current
  const limit: Limit = { where, elements, made: [], spent: 0 }
  current = limit
  try {
    return build()
  } catch (error) {
    for (const v of limit.made) v.dispose()
    throw error
  } finally {
    current = outer
  }
}

/**
 * Before memory is taken for initial values.
 *
 * @throws RangeError if a size is none, or if a limit is set and this is beyond it
 */
export function checkRoom(elements: number, shape: readonly number[]): void {
  if (!shape.every((size) => Number.isSafeInteger(size) && size >= 0)) {
    throw new RangeError(`parameter: expected sizes that are whole numbers, got [${shape.join(', ')}].`)
  }
  if (current === null || current.spent + elements <= current.elements) return
  throw new RangeError(
    `${current.where}: expected at most ${current.elements} elements of parameters, got ${current.spent + elements} and more. The configuration does not describe these tensors.`,
  )
}

/** After a parameter was made. */
export function spendRoom(v: Variable): void {
  if (current === null) return
  current.made.push(v)
  if (current.made.length > mostParameters) {
    throw new RangeError(`${current.where}: expected at most ${mostParameters} parameters, got more.`)
  }
  checkRoom(v.size, v.shape)
  current.spent += v.size
}
