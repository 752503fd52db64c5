import { Rng } from '@mneme/core-tensor'
import { describeMixer } from '@mneme/testing'
import { MemoryAsContext, type MemoryAsContextOptions } from './memory-as-context.js'
import { NeuralMemory, type NeuralMemoryOptions } from './neural-memory.js'

const memory: NeuralMemoryOptions = {
  dModel: 6,
  nHeads: 1,
  dHead: 4,
  depth: 1,
  expansion: 1,
  innerNorm: true,
  lossReduction: 'sum',
  chunk: 3,
  momentum: true,
  maxLr: 0.1,
  convWidth: 2,
  normEps: 1e-6,
}

const base: MemoryAsContextOptions = {
  dModel: 6,
  nHeads: 2,
  dHead: 4,
  segment: 5,
  persistent: 2,
  ropeBase: 100,
  normEps: 1e-6,
}

const variants: Readonly<Record<string, Partial<MemoryAsContextOptions>>> = {
  'chunks that do not divide segments': {},
  'nothing persistent, segments of 6': { persistent: 0, segment: 6 },
}

for (const [name, options] of Object.entries(variants)) {
  describeMixer(
    `MemoryAsContext: ${name}`,
    (seed) => {
      const rng = new Rng(seed)
      return new MemoryAsContext(new NeuralMemory(memory, rng), { ...base, ...options }, rng)
    },
    base.dModel,
  )
}
