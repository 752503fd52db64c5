import { expect, test } from 'vitest'
import { learningRate, type ScheduleOptions } from './schedule.js'

const base: ScheduleOptions = { schedule: 'cosine', lr: 2, warmup: 10, steps: 110, minLr: 0.1, decay: 0.2 }

test('warm-up rises linearly to the largest rate, for every schedule', () => {
  for (const schedule of ['cosine', 'wsd', 'constant'] as const) {
    expect(learningRate(0, { ...base, schedule })).toBeCloseTo(0.2)
    expect(learningRate(9, { ...base, schedule })).toBeCloseTo(2)
  }
})

test('cosine: half way down in the middle, the smallest rate at the end and after', () => {
  expect(learningRate(60, base)).toBeCloseTo((2 + 0.2) / 2)
  expect(learningRate(110, base)).toBeCloseTo(0.2)
  expect(learningRate(500, base)).toBeCloseTo(0.2)
})

test('warm-up, stable, decay: flat, then linear over the last share', () => {
  const wsd = { ...base, schedule: 'wsd' as const }
  expect(learningRate(87, wsd)).toBe(2)
  expect(learningRate(99, wsd)).toBeCloseTo(2 - 1.8 * (11 / 22))
  expect(learningRate(110, wsd)).toBeCloseTo(0.2)
})
