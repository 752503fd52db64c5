import { describe, expect, test } from 'vitest'
import { dims } from './shape.js'

const of = (...shape: number[]): { shape: number[] } => ({ shape })

describe('dims', () => {
  test('names every axis', () => {
    expect(dims('f x', of(2, 5, 8), 'B T D')).toEqual({ B: 2, T: 5, D: 8 })
  })

  test('a size that is known, a letter met twice and a number must fit', () => {
    expect(dims('f x', of(2, 8), 'B D', { D: 8 })).toEqual({ B: 2, D: 8 })
    expect(() => dims('f x', of(2, 7), 'B D', { D: 8 })).toThrow('f x: expected [B, D=8], got [2, 7].')
    expect(dims('f x', of(3, 3), 'N N')).toEqual({ N: 3 })
    expect(() => dims('f x', of(3, 4), 'N N')).toThrow(RangeError)
    expect(dims('f x', of(4, 1, 2), 'B 1 T')).toMatchObject({ B: 4, T: 2 })
    expect(() => dims('f x', of(4, 3, 2), 'B 1 T')).toThrow('f x: expected [B, 1, T], got [4, 3, 2].')
  })

  test('another number of axes is refused, and so is what has no shape', () => {
    expect(() => dims('f x', of(2, 5), 'B T D')).toThrow('f x: expected [B, T, D], got [2, 5].')
    expect(() => dims('f x', undefined as unknown as { shape: number[] }, 'B T')).toThrow(
      'expected [B, T], got undefined.',
    )
  })
})
