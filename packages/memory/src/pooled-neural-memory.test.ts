import { Rng } from '@mneme/core-tensor'
import { within } from '@mneme/testing/subject'
import { expect, test } from 'vitest'
import { PooledNeuralMemory } from './pooled-neural-memory.js'

const options = {
  dModel: 384,
  nHeads: 1,
  dHead: 384,
  depth: 2,
  expansion: 4,
  innerNorm: true,
  chunk: 4,
  refresh: 0,
  momentum: true,
  maxLr: 1,
  maxGradNorm: 0,
  qkNorm: false,
  readNorm: false,
  transitionGate: false,
  weightResidual: false,
}

test('a memory of width 384 has 1,624,323 parameters', async () => {
  await within(async () => {
    expect(new PooledNeuralMemory(options, new Rng(0)).parameterCount()).toBe(1_624_323)
  })
})

test('a single head is as wide as the model, and refreshes fall on chunks', () => {
  const make = (given: object) => () => new PooledNeuralMemory({ ...options, ...given }, new Rng(0))
  expect(make({ dHead: 64 })).toThrow(/dHead: expected the model's width 384/)
  expect(make({ refresh: 6 })).toThrow(/refresh: expected a multiple of chunk = 4, got 6/)
})
