import { describe, expect, test } from 'vitest'
import { choice, Rng, shuffle } from './rng.js'

const draws = (rng: Rng, count: number): number[] => Array.from({ length: count }, () => rng.uint32())
const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length

describe('Rng', () => {
  test('the first numbers are pinned: seeds mean the same for ever', () => {
    expect(draws(new Rng(0), 4)).toEqual([2899526011, 769844623, 220372281, 4270301181])
    expect(draws(new Rng(1), 4)).toEqual([2420951833, 2513034076, 3847892949, 4064752930])
    expect(draws(new Rng(-7), 4)).toEqual([3986084578, 3183441412, 314452001, 2737283152])
  })

  test('saved and restored, also within a pair of normals, it goes on exactly', () => {
    for (const normals of [0, 1, 2]) {
      const rng = new Rng(5)
      for (let i = 0; i < normals; i++) rng.normal()
      const copy = Rng.restore(JSON.parse(JSON.stringify(rng.save())))
      const next = (r: Rng): number[] => [r.normal(), r.uniform(), r.normal(), r.normal(), r.uint32()]
      expect(next(copy)).toEqual(next(rng))
    }
  })

  test('uniform: in [0, 1), with mean 1/2 and variance 1/12 within three deviations', () => {
    const rng = new Rng(2)
    const n = 20_000
    const values = Array.from({ length: n }, () => rng.uniform())
    expect(Math.min(...values)).toBeGreaterThanOrEqual(0)
    expect(Math.max(...values)).toBeLessThan(1)
    expect(Math.abs(mean(values) - 1 / 2)).toBeLessThan(3 * Math.sqrt(1 / 12 / n))
    // the fourth central moment is 1/80, so a squared deviation varies by 1/80 - 1/144
    const variance = mean(values.map((u) => (u - 1 / 2) ** 2))
    expect(Math.abs(variance - 1 / 12)).toBeLessThan(3 * Math.sqrt((1 / 80 - 1 / 144) / n))
  })

  test('normal: mean 0, variance 1, skew 0 and fourth moment 3 within three deviations', () => {
    const rng = new Rng(3)
    const n = 20_000
    const values = Array.from({ length: n }, () => rng.normal())
    // moments 1, 2, 3, 4 and the variances of single powers: 1, 2, 15, 96
    for (const [power, expected, variance] of [
      [1, 0, 1],
      [2, 1, 2],
      [3, 0, 15],
      [4, 3, 96],
    ] as const) {
      const moment = mean(values.map((z) => z ** power))
      expect(Math.abs(moment - expected), `moment ${power}`).toBeLessThan(3 * Math.sqrt(variance / n))
    }
  })

  test('int: every value of [low, high), about as often', () => {
    const rng = new Rng(4)
    const n = 12_000
    const counts = new Map<number, number>()
    for (let i = 0; i < n; i++) {
      const value = rng.int(-2, 4)
      counts.set(value, (counts.get(value) ?? 0) + 1)
    }
    expect([...counts.keys()].sort((a, b) => a - b)).toEqual([-2, -1, 0, 1, 2, 3])
    // four deviations, since there are six counts
    for (const count of counts.values()) expect(Math.abs(count - n / 6)).toBeLessThan(4 * Math.sqrt((n * 5) / 36))
  })

  test('choice: distinct, within bounds, and all of them where as many are asked for', () => {
    const rng = new Rng(5)
    for (let i = 0; i < 50; i++) {
      const chosen = choice(rng, 3, 13, 6)
      expect(new Set(chosen).size).toBe(6)
      for (const value of chosen) expect(value >= 3 && value < 13).toBe(true)
    }
    expect(choice(rng, 3, 13, 10).sort((a, b) => a - b)).toEqual([3, 4, 5, 6, 7, 8, 9, 10, 11, 12])
    expect(choice(rng, 0, 5, 0)).toEqual([])
  })

  test('shuffle: the same array with the same items, in any order equally often', () => {
    const rng = new Rng(6)
    const n = 12_000
    const counts = new Map<string, number>()
    for (let i = 0; i < n; i++) {
      const items = [0, 1, 2]
      expect(shuffle(rng, items)).toBe(items)
      counts.set(items.join(''), (counts.get(items.join('')) ?? 0) + 1)
    }
    expect(counts.size).toBe(6)
    for (const count of counts.values()) expect(Math.abs(count - n / 6)).toBeLessThan(4 * Math.sqrt((n * 5) / 36))
    expect([...shuffle(rng, Int32Array.of(5, 6, 7))].sort()).toEqual([5, 6, 7])
  })

  test('fork: the same purpose gives the same numbers, another gives others', () => {
    const fork = (seed: number, purpose: string): number[] => draws(new Rng(seed).fork(purpose), 4)
    expect(fork(1, 'weights')).toEqual(fork(1, 'weights'))
    expect(fork(1, 'weights')).not.toEqual(fork(1, 'data'))
    expect(fork(1, 'weights')).not.toEqual(fork(2, 'weights'))
  })

  test('what cannot be drawn is refused', () => {
    expect(() => new Rng(0.5)).toThrow(/expected an integer seed, got 0.5/)
    expect(() => new Rng(0).int(3, 3)).toThrow(/expected low < high, got \[3, 3\)/)
    expect(() => choice(new Rng(0), 0, 3, 4)).toThrow(/4 distinct values asked of 3/)
  })
})
