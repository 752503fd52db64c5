import { Rng } from '@mneme/core-tensor'
import { describeMixer } from '@mneme/testing'
import { NeuralMemory, type NeuralMemoryOptions } from './neural-memory.js'

const base: NeuralMemoryOptions = {
  dModel: 6,
  nHeads: 2,
  dHead: 4,
  depth: 2,
  expansion: 2,
  innerNorm: true,
  lossReduction: 'sum',
  chunk: 4,
  momentum: true,
  maxLr: 0.1,
  convWidth: 3,
  normEps: 1e-6,
}

const variants: Readonly<Record<string, Partial<NeuralMemoryOptions>>> = {
  'an MLP with a norm, in chunks of 4': {},
  'a plain MLP without momentum, token by token': { innerNorm: false, momentum: false, chunk: 1 },
  'a matrix, mean loss, one head': { depth: 1, innerNorm: false, lossReduction: 'mean', nHeads: 1, maxLr: 1 },
}

for (const [name, options] of Object.entries(variants)) {
  describeMixer(
    `NeuralMemory: ${name}`,
    (seed) => new NeuralMemory({ ...base, ...options }, new Rng(seed)),
    base.dModel,
  )
}
