import { expect, test } from 'vitest'
import { roundToBF16, roundToF16, widenBF16, widenF16 } from './half.js'

const all = Uint16Array.from({ length: 65536 }, (_, i) => i)

test('every half and every bfloat16 survives widening and rounding, NaN payloads too', () => {
  expect(roundToF16(widenF16(all))).toEqual(all)
  expect(roundToBF16(widenBF16(all))).toEqual(all)
})

test.each([
  ['F16', widenF16, roundToF16, 0x7c00],
  ['BF16', widenBF16, roundToBF16, 0x7f80],
] as const)(
  '%s: a value between two neighbours goes to the nearer, from the middle to the even one',
  (_, widen, round, infinity) => {
    for (let bits = 0; bits < infinity - 1; bits += 7) {
      const [low, high] = widen(Uint16Array.of(bits, bits + 1)) as unknown as [number, number]
      const middle = (low + high) / 2
      const even = bits % 2 === 0 ? bits : bits + 1
      // the floats on either side of the middle
      const below = middle - (high - low) * 2 ** -10
      const above = middle + (high - low) * 2 ** -10
      expect([...round(Float32Array.of(middle, -middle, below, above))]).toEqual([even, even | 0x8000, bits, bits + 1])
    }
  },
)

test('what lies beyond the largest number by half a step or more is infinite', () => {
  expect([...roundToF16(Float32Array.of(65519, 65520, -1e9))]).toEqual([0x7bff, 0x7c00, 0xfc00])
  expect([...roundToBF16(Float32Array.of(3.4028234e38, -3.4028234e38))]).toEqual([0x7f80, 0xff80])
})

test('a NaN stays one though its payload is cut off', () => {
  const nan = new Float32Array(Uint32Array.of(0x7f800001).buffer)
  expect(widenF16(roundToF16(nan))[0]).toBeNaN()
  expect(widenBF16(roundToBF16(nan))[0]).toBeNaN()
})
