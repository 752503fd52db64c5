import { describe, expect, test } from 'vitest'
import { closest, unknownName, withDefaults } from './config.js'

const defaults = {
  width: 8,
  rate: 0.5,
  limit: Number.POSITIVE_INFINITY,
  name: 'plain',
  on: true,
  sizes: [1, 2],
  scaling: null as object | null,
  inner: { depth: 2, label: 'a' },
}

describe('withDefaults', () => {
  test('what is given lies over what is not, nested objects too, and the defaults stay as they are', () => {
    const before = structuredClone(defaults)
    expect(withDefaults('model', defaults, { width: 16, inner: { label: 'b' } })).toEqual({
      ...defaults,
      width: 16,
      inner: { depth: 2, label: 'b' },
    })
    expect(defaults).toEqual(before)
    expect(withDefaults('model', defaults, undefined)).toEqual(defaults)
    expect(withDefaults('model', defaults, { width: undefined })).toEqual(defaults)
  })

  test('an unknown key is refused, with the nearest one, at any depth', () => {
    expect(() => withDefaults('model', defaults, { widht: 4 })).toThrow(
      /^model: no such key 'widht'\. Did you mean 'width'\? Known: width, rate/,
    )
    expect(() => withDefaults('model', defaults, { inner: { dept: 4 } })).toThrow(/^model\.inner: no such key 'dept'/)
    expect(() => withDefaults('model', defaults, { toString: 1 })).toThrow(RangeError)
  })

  test('a value of another kind is refused, by name', () => {
    expect(() => withDefaults('model', defaults, { width: '8' })).toThrow(
      new TypeError('model.width: expected number, got string "8".'),
    )
    expect(() => withDefaults('model', defaults, { on: 1 })).toThrow(TypeError)
    expect(() => withDefaults('model', defaults, { sizes: { 0: 1 } })).toThrow(/expected array, got object/)
    expect(() => withDefaults('model', defaults, { inner: 3 })).toThrow(/expected object, got number/)
  })

  test('a default of null takes any value, and null goes anywhere', () => {
    expect(withDefaults('model', defaults, { scaling: { factor: 2 } }).scaling).toEqual({ factor: 2 })
    expect(withDefaults('model', defaults, { name: null }).name).toBeNull()
  })

  test('numbers are finite where the default is', () => {
    expect(() => withDefaults('model', defaults, { rate: Number.NaN })).toThrow(
      /rate: expected a finite number, got NaN/,
    )
    expect(withDefaults('model', defaults, { limit: Number.POSITIVE_INFINITY }).limit).toBe(Number.POSITIVE_INFINITY)
  })
})

describe('names', () => {
  test('the nearest candidate, if it is near enough to be meant', () => {
    expect(closest('min-rn', ['titans', 'min-rnn'])).toBe('min-rnn')
    expect(closest('elephant', ['titans', 'min-rnn'])).toBeUndefined()
    expect(closest('x', [])).toBeUndefined()
  })

  test('an unknown name is told with what there is, at most twelve of it', () => {
    expect(unknownName('load', 'paper', 'titan', ['titans', 'mamba'])).toBe(
      "load: no such paper 'titan'. Did you mean 'titans'? Known: titans, mamba.",
    )
    const many = Array.from({ length: 14 }, (_, i) => `paper-${i}-long`)
    expect(unknownName('load', 'paper', 'q', many)).toMatch(/paper-11-long, \.\.\. \(14\)\.$/)
  })
})
