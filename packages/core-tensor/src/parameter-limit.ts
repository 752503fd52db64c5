import type { Variable } from '@tensorflow/tfjs-core'
import { watchParameters } from './parameter-watch.js'

/** Names of parameters, ten times what the largest models without experts have. */
const mostParameters = 20_000

/**
 * Builds a model that may have at most so many elements of parameters: a configuration from elsewhere can ask for any
 * size, and must not take the memory before it is found out. What was made until then is freed.
 *
 * @throws RangeError once more are asked for; what `build` throws
 */
export function withinParameters<T>(where: string, elements: number, build: () => T): T {
  const made: Variable[] = []
  let spent = 0
  const asked = (more: number): void => {
    if (spent + more <= elements) return
    throw new RangeError(
      `${where}: expected at most ${elements} elements of parameters, got ${spent + more} and more. The configuration does not describe these tensors.`,
    )
  }
  const outer = watchParameters({
    asked,
    made(v) {
      made.push(v)
      if (made.length > mostParameters) {
        throw new RangeError(`${where}: expected at most ${mostParameters} parameters, got more.`)
      }
      asked(v.size)
      spent += v.size
    },
  })
  try {
    return build()
  } catch (error) {
    for (const v of made) v.dispose()
    throw error
  } finally {
    watchParameters(outer)
  }
}
