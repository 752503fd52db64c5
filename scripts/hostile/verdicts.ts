import { SafetensorsError } from '@mneme/core-tensor/io/safetensors'
import { expect } from 'vitest'

/** What the engine says when memory or the stack ran out: never to be seen. */
const exhausted = /Maximum call stack|Invalid (array|typed array|string) length|out of memory|Array buffer allocation/i

/** What it says when something was not checked: to be seen only as the reason why a file that is named does not do. */
const unforeseen =
  /Cannot (read|set|convert|access|destructure|use)|is not (a function|iterable|defined|a constructor)|circular structure/i
const reasoned = /: expected (what '.+' can be built from|a tokenizer), got/

/** The shape of an error of ours: where, what was expected, what was given. */
const named = /expected|no such|did you mean|is cut off|could not|do not fit|has no published/i

/** An error that names the fault, and not an accident on the way. */
export function expectNamed(error: unknown): void {
  const known = [SafetensorsError, RangeError, TypeError, SyntaxError, Error].some((kind) => error instanceof kind)
  const { message, stack } = error as Error
  const accident = unforeseen.test(message) && !reasoned.test(message)
  if (!known || exhausted.test(message) || accident || !named.test(message))
    expect.fail(`expected a named error, got ${stack}`)
}

export interface Tally {
  taken: number
  refused: number
}

/** Counts what comes of each file; slow ones count as hanging. */
export async function judged(tally: Tally, what: string, attempt: () => unknown): Promise<void> {
  const started = performance.now()
  try {
    await attempt()
    tally.taken++
  } catch (error) {
    expectNamed(error)
    tally.refused++
  }
  const ms = performance.now() - started
  if (ms > 5000) expect.fail(`${what}: expected an answer at once, got one after ${Math.round(ms)} ms`)
}

/** Runs `attempt` on so many seeds, and holds the whole to what no file may do. */
export async function corpus(what: string, count: number, attempt: (seed: number) => unknown): Promise<Tally> {
  const prototypes = [Object.prototype, Array.prototype, Function.prototype]
  const before = prototypes.map((prototype) => Reflect.ownKeys(prototype).length)
  const rss = process.memoryUsage().rss
  const tally = { taken: 0, refused: 0 }
  for (let seed = 0; seed < count; seed++) await judged(tally, `${what}, seed ${seed}`, () => attempt(seed))
  expect(prototypes.map((prototype) => Reflect.ownKeys(prototype).length)).toEqual(before)
  expect(process.memoryUsage().rss - rss).toBeLessThan(512 * 2 ** 20)
  expect(tally.taken + tally.refused).toBe(count)
  return tally
}
