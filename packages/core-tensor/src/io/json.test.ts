import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { formatConfigJson, parseConfigJson, parseJson } from './json.js'

describe('parseJson', () => {
  test('agrees with JSON.parse', () => {
    fc.assert(
      fc.property(fc.json(), fc.nat(4), (text, indent) => {
        const value: unknown = JSON.parse(text)
        expect(parseJson(JSON.stringify(value, null, indent))).toEqual(value)
      }),
      { seed: 7, numRuns: 300 },
    )
  })

  test('refuses what JSON.parse refuses', () => {
    const broken = [
      '',
      ' ',
      '{',
      '{"a"}',
      '{"a":1,}',
      '[1,]',
      '[1 2]',
      '01',
      '1.',
      '.5',
      '+1',
      '"\n"',
      '"\\x"',
      '"a',
      'tru',
      '1 2',
      "'a'",
      '{a:1}',
      'NaN',
      '-Infinity',
      '\u00a01',
    ]
    for (const text of broken) {
      expect(() => JSON.parse(text), text).toThrow(SyntaxError)
      expect(() => parseJson(text), text).toThrow(SyntaxError)
    }
  })

  test('refuses a key given twice, however it is spelt', () => {
    expect(() => parseJson('{"a":1,"b":{"a":2},"\\u0061":3}')).toThrow(/"a" comes again/)
  })

  test('keeps prototype keys as plain keys', () => {
    const value = parseJson('{"__proto__":{"x":1},"constructor":2,"toString":3}') as object
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype)
    expect(Object.keys(value)).toEqual(['__proto__', 'constructor', 'toString'])
  })

  test('refuses depth rather than running out of stack', () => {
    expect(() => parseJson('['.repeat(100_000))).toThrow(/at most 200 levels/)
  })
})

describe('parseConfigJson', () => {
  test('takes the bare numbers that Python writes', () => {
    const config = parseConfigJson('{"time_step_limit": [0.0, Infinity], "low": -Infinity, "x": NaN, "name": "NaN"}')
    expect(config).toEqual({
      time_step_limit: [0, Number.POSITIVE_INFINITY],
      low: Number.NEGATIVE_INFINITY,
      x: Number.NaN,
      name: 'NaN',
    })
  })

  test('gives back what formatConfigJson wrote', () => {
    const number = fc.double().filter((n) => !Object.is(n, -0))
    const config = fc.dictionary(
      fc.string(),
      fc.oneof(number, fc.string(), fc.boolean(), fc.constant(null), fc.array(number)),
    )
    fc.assert(
      fc.property(config, (value) => {
        expect(parseConfigJson(formatConfigJson(value))).toEqual({ ...value })
      }),
      { seed: 7, numRuns: 200 },
    )
    expect(Object.is(parseConfigJson(formatConfigJson({ z: -0 })).z, -0)).toBe(true)
  })

  test('writes as JSON.stringify does, where that can', () => {
    const value = { a: [1, [], {}], b: { c: null, d: 'x"y' } }
    expect(formatConfigJson(value)).toBe(JSON.stringify(value, null, 2))
    expect(formatConfigJson(value, 0)).toBe(JSON.stringify(value))
  })

  test('says where it failed', () => {
    expect(() => parseConfigJson('{"a": oops}', 'gla/config.json')).toThrow(
      'gla/config.json: expected JSON, got "oops}" at 6 where a value is expected.',
    )
    expect(() => parseConfigJson('[]')).toThrow('config.json: expected an object, got an array.')
  })
})
