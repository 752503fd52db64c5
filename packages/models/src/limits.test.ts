import { checkLimits, hasLimit } from '@mneme/core-tensor'
import { describe, expect, test } from 'vitest'
import { loadPaper, paperKeys } from './registry.js'

/** Keys of all numbers, in lists and nested objects too. */
function numbers(config: object): string[] {
  return Object.entries(config).flatMap(([key, value]) => {
    const items = Array.isArray(value) ? value : [value]
    return items.flatMap((item) => {
      if (typeof item === 'number') return [key]
      return typeof item === 'object' && item !== null ? numbers(item) : []
    })
  })
}

describe.each(paperKeys)('limits of %s', (key) => {
  test('hold for its own configurations, and know all of their numbers', async () => {
    const { config, tiny } = await loadPaper(key)
    const { moreTiny = {} } = (await import(`./${key}.ts`)) as { moreTiny?: Readonly<Record<string, object>> }
    for (const own of [config, tiny, ...Object.values(moreTiny)]) {
      expect(() => checkLimits(key, own)).not.toThrow()
      expect(numbers(own).filter((name) => !hasLimit(name))).toEqual([])
    }
  })
})
