import { describe, expect, it } from 'vitest'
import { argMax, bitsPerCharacter, chance, crossEntropy, scored, Tally } from './metrics.js'
import type { TaskBatch } from './task.js'

function batchOf(targets: readonly (readonly number[])[]): TaskBatch {
  const flat = targets.flat()
  return {
    inputs: new Int32Array(flat.length),
    targets: Int32Array.from(flat),
    mask: Float32Array.from(flat, (target) => (target < 0 ? 0 : 1)),
    batch: targets.length,
    length: targets[0]?.length ?? 0,
  }
}

const first = batchOf([
  [1, 2, 3],
  [-100, -100, 4],
])
const second = batchOf([[-100, -100, 5]])

describe('Tally', () => {
  it('counts positions and rows over the whole set, not averages of batches', () => {
    const tally = new Tally()
    tally.addPredictions(first, [1, 2, 0, 9, 9, 4])
    tally.addPredictions(second, [5, 5, 0])
    expect(tally.tokenAcc).toBe(3 / 5)
    expect(tally.seqAcc).toBe(1 / 3)
    tally.addLosses(first, [1, 2, 3, 99, 99, 4])
    tally.addLossSum(5, 1)
    expect(tally.lossNats).toBe(3)
  })

  it('leaves out rows that ask nothing, and is NaN before anything came', () => {
    const tally = new Tally()
    expect([tally.tokenAcc, tally.seqAcc, tally.lossNats]).toEqual([Number.NaN, Number.NaN, Number.NaN])
    tally.addPredictions(batchOf([[-100], [3]]), [0, 3])
    expect(tally.seqAcc).toBe(1)
  })

  it('refuses other sizes', () => {
    expect(() => new Tally().addPredictions(first, [1])).toThrow(/expected \[B, T\] = \[2, 3\], 6 values, got 1/)
    expect(() => new Tally().addLosses(first, [1])).toThrow(RangeError)
  })
})

describe('measures', () => {
  it('takes the most likely id, the lowest of equals', () => {
    expect(Array.from(argMax([0, 3, 1, 2, 2, -1], 3))).toEqual([1, 0])
  })

  it('gives the cross-entropy where scored', () => {
    const batch = batchOf([[1, -100]])
    expect(Array.from(crossEntropy(batch, [1000, 1000 + Math.log(3), 5, 5], 2))).toEqual([
      expect.closeTo(Math.log(4 / 3)),
      0,
    ])
  })

  it('counts, and knows chance and bits', () => {
    expect(scored(first)).toBe(4)
    expect(chance(8)).toEqual({ accuracy: 0.125, lossNats: Math.log(8) })
    expect(bitsPerCharacter(Math.LN2)).toBe(1)
    expect(bitsPerCharacter(4 * Math.LN2, 2)).toBe(2)
  })
})
