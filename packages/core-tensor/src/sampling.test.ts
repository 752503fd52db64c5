import { describe, expect, test } from 'vitest'
import { Rng } from './rng.js'
import { checkSampling, likeliest, type SamplingOptions, sample, samplingDefaults } from './sampling.js'

const none: ReadonlySet<number> = new Set()
const options = (given: Partial<SamplingOptions>): SamplingOptions => ({ ...samplingDefaults, ...given })
/** Scores whose softmax is the given distribution. */
const scoresOf = (...probabilities: number[]): Float32Array => Float32Array.from(probabilities, Math.log)

const DRAWS = 4000

function shares(scores: Float32Array, given: Partial<SamplingOptions>, seen = none): number[] {
  const rng = new Rng(1)
  const counts = new Array<number>(scores.length).fill(0)
  for (let i = 0; i < DRAWS; i++) {
    const { id } = sample(scores, options(given), seen, rng)
    counts[id] = (counts[id] as number) + 1
  }
  return counts.map((count) => count / DRAWS)
}

/** Within four deviations of a share. */
function expectShares(actual: readonly number[], expected: readonly number[]): void {
  for (const [id, p] of expected.entries()) {
    expect(Math.abs((actual[id] as number) - p), `share of ${id}`).toBeLessThanOrEqual(
      4 * Math.sqrt((p * (1 - p)) / DRAWS),
    )
  }
}

describe('sample', () => {
  test('temperature 1: as the probabilities are', () => {
    expectShares(shares(scoresOf(0.5, 0.3, 0.2), {}), [0.5, 0.3, 0.2])
  })

  test('temperature 1/2 squares the probabilities, 2 takes their roots', () => {
    const p = [0.6, 0.3, 0.1]
    for (const [temperature, power] of [
      [0.5, 2],
      [2, 0.5],
    ] as const) {
      const powers = p.map((x) => x ** power)
      const total = powers.reduce((a, b) => a + b)
      const expected = powers.map((x) => x / total)
      expectShares(shares(scoresOf(...p), { temperature }), expected)
    }
  })

  test('temperature 0: always the largest score, the first of equal ones', () => {
    expect(shares(Float32Array.of(1, 3, 2), { temperature: 0 })).toEqual([0, 1, 0])
    expect(shares(Float32Array.of(1, 3, 3), { temperature: 0 })).toEqual([0, 1, 0])
  })

  test('top-k: the k largest share what there is, in their proportions', () => {
    expectShares(shares(scoresOf(0.1, 0.4, 0.3, 0.2), { topK: 2 }), [0, 4 / 7, 3 / 7, 0])
    expect(shares(scoresOf(0.1, 0.4, 0.3, 0.2), { topK: 1 })).toEqual([0, 1, 0, 0])
    expectShares(shares(scoresOf(0.1, 0.4, 0.3, 0.2), { topK: 99 }), [0.1, 0.4, 0.3, 0.2])
  })

  test('top-p: the fewest that add up to p', () => {
    const scores = scoresOf(0.15, 0.5, 0.05, 0.3)
    expect(shares(scores, { topP: 0.4 })).toEqual([0, 1, 0, 0])
    expectShares(shares(scores, { topP: 0.7 }), [0, 5 / 8, 0, 3 / 8])
    expectShares(shares(scores, { topP: 0.9 }), [0.15 / 0.95, 0.5 / 0.95, 0, 0.3 / 0.95])
    expectShares(shares(scores, { topP: 1 }), [0.15, 0.5, 0.05, 0.3])
  })

  test('top-k first, then top-p of what is left', () => {
    // of 0.5 and 0.3, the first alone has 0.625 of the mass
    expect(shares(scoresOf(0.15, 0.5, 0.05, 0.3), { topK: 2, topP: 0.6 })).toEqual([0, 1, 0, 0])
  })

  test('repetition penalty: what occurred is divided where positive and multiplied where negative', () => {
    const pick = (scores: number[], seen: number[]): number =>
      sample(Float32Array.from(scores), options({ temperature: 0, repetitionPenalty: 2 }), new Set(seen), new Rng(0)).id
    expect(pick([4, 3, 1], [])).toBe(0)
    expect(pick([4, 3, 1], [0])).toBe(1)
    expect(pick([4, 1.9, 1], [0])).toBe(0)
    expect(pick([-1, -1.9, -3], [0])).toBe(1)
    expect(pick([-1, -2.1, -3], [0])).toBe(0)
  })

  test('a score of minus infinity is never drawn', () => {
    const scores = Float32Array.of(Number.NEGATIVE_INFINITY, 0, 0)
    expectShares(shares(scores, {}), [0, 0.5, 0.5])
    expect(shares(scores, { topK: 2 })[0]).toBe(0)
  })

  test('scores of thousands overflow nothing', () => {
    expect(shares(Float32Array.of(5000, -5000, 4000), {})).toEqual([1, 0, 0])
  })

  test('the log probability is that of the model, before any setting', () => {
    const scores = scoresOf(0.5, 0.3, 0.2)
    const settings = [{}, { temperature: 0 }, { topK: 1 }, { temperature: 3, repetitionPenalty: 2 }]
    for (const given of settings) {
      const { id, logProbability } = sample(scores, options(given), new Set([0]), new Rng(2))
      expect(Math.exp(logProbability)).toBeCloseTo([0.5, 0.3, 0.2][id] as number, 6)
    }
  })

  test('the same generator gives the same tokens', () => {
    const scores = scoresOf(0.25, 0.25, 0.25, 0.25)
    const ids = (seed: number): number[] => {
      const rng = new Rng(seed)
      return Array.from({ length: 20 }, () => sample(scores, samplingDefaults, none, rng).id)
    }
    expect(ids(3)).toEqual(ids(3))
    expect(ids(3)).not.toEqual(ids(4))
  })
})

describe('checkSampling', () => {
  test.each([
    ['temperature', -1],
    ['temperature', Number.NaN],
    ['topK', 1.5],
    ['topK', -1],
    ['topP', 0],
    ['topP', 1.1],
    ['repetitionPenalty', 0],
  ])('%s of %d is refused, by name', (name, value) => {
    expect(() => checkSampling(options({ [name]: value }))).toThrow(
      new RegExp(`generate ${name}: expected .*, got ${value}`),
    )
  })

  test('the defaults draw from the model as it is', () => {
    expect(() => checkSampling(samplingDefaults)).not.toThrow()
    expect(samplingDefaults).toEqual({ temperature: 1, topK: 0, topP: 1, repetitionPenalty: 1 })
  })
})

describe('likeliest', () => {
  test('the top tokens with their probabilities, of equals the lower id first', () => {
    const top = likeliest(scoresOf(0.1, 0.3, 0.2, 0.3, 0.1), 3)
    expect(top.map(({ id }) => id)).toEqual([1, 3, 2])
    for (const [i, share] of [0.3, 0.3, 0.2].entries()) {
      expect(Math.exp(top[i]?.logProbability as number)).toBeCloseTo(share, 6)
    }
  })

  test('more than there are gives all', () => {
    expect(likeliest(scoresOf(0.25, 0.75), 5).map(({ id }) => id)).toEqual([1, 0])
  })
})
