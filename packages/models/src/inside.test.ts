import { Rng } from '@mneme/core-tensor'
import { type Influence, influence } from '@mneme/core-tensor/inspect/influence'
import { type Inside, lookInside } from '@mneme/core-tensor/inspect/look-inside'
import { type LeafHistory, stateHistory } from '@mneme/core-tensor/inspect/state-history'
import { memory } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { loadPaper, paperKeys } from './registry.js'

const T = 9
const ids = (vocabulary: number): number[] => {
  const rng = new Rng(3)
  return Array.from({ length: T }, () => rng.int(0, vocabulary))
}
const finite = (values: Float32Array): boolean => values.every(Number.isFinite)

describe.each(paperKeys)('inside %s', (key) => {
  test('something is seen: maps or recordings, states over time, and where outputs look', async () => {
    const paper = await loadPaper(key)
    const model = paper.build(paper.tiny)
    const text = ids(model.vocabulary)
    const before = memory().numTensors
    const inside = await lookInside(model, text)
    expect(inside.scores.length).toBe(T * model.vocabulary)
    expectSound(inside)
    if (model.traits.causal) expectHistory(await stateHistory(model, text))
    else await expect(stateHistory(model, text)).rejects.toThrow(/looks both ways/)
    const seen = await influence(model, text, [4])
    if (seen !== null) {
      const { lengths } = seen[0] as Influence
      expect(lengths.length).toBe(T)
      expect(finite(lengths)).toBe(true)
      expect(Math.max(...lengths.subarray(0, 5))).toBeGreaterThan(0)
      if (model.traits.causal) expect(Math.max(...lengths.subarray(5))).toBe(0)
    }
    expect(memory().numTensors).toBe(before)
    model.dispose()
  })
})

function expectSound({ maps, recordings }: Inside): void {
  expect(maps.length + recordings.length).toBeGreaterThan(0)
  for (const map of maps) {
    expect(map.weights.length).toBe(map.parts.length * map.rows * map.columns)
    expect(finite(map.weights)).toBe(true)
    // attention without a score for nothing: a row sums to one, or sees no key
    if (map.op !== 'softmaxAttention') continue
    for (let row = 0; row < map.parts.length * map.rows; row++) {
      const weights = map.weights.subarray(row * map.columns, (row + 1) * map.columns)
      const total = weights.reduce((sum, w) => sum + w, 0)
      expect(weights.every((w) => w >= 0)).toBe(true)
      expect(total).toBeLessThan(1 + 1e-5)
    }
  }
  for (const { values, shape } of recordings) {
    expect(values !== null && finite(values)).toBe(true)
    // what runs along the tokens has the one row of the batch before them, and not heads
    if (shape[1] === T) expect(shape[0]).toBe(1)
  }
}

function expectHistory(leaves: readonly LeafHistory[]): void {
  expect(leaves.length).toBeGreaterThan(0)
  for (const { grows, shape, norms, changes, values, stride, initial } of leaves) {
    expect(finite(norms) && finite(changes) && finite(values)).toBe(true)
    const size = shape.reduce((a, b) => a * b, 1)
    expect(values.length).toBe(grows ? size : T * Math.ceil(size / stride))
    expect(initial.length).toBe(grows ? 0 : Math.ceil(size / stride))
  }
  expect(leaves.some(({ changes }) => changes.some((x) => x > 0))).toBe(true)
}
