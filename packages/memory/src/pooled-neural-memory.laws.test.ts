import { Rng } from '@mneme/core-tensor'
import { describeMixer } from '@mneme/testing'
import { PooledNeuralMemory, type PooledNeuralMemoryOptions } from './pooled-neural-memory.js'

const base: PooledNeuralMemoryOptions = {
  dModel: 6,
  nHeads: 2,
  dHead: 4,
  depth: 2,
  expansion: 1.5,
  innerNorm: true,
  chunk: 3,
  refresh: 0,
  momentum: true,
  maxLr: 1,
  maxGradNorm: 0,
  qkNorm: false,
  readNorm: false,
  transitionGate: false,
  weightResidual: false,
}

const variants: Readonly<Record<string, Partial<PooledNeuralMemoryOptions>>> = {
  'two heads': {},
  'one head, gradients limited, no momentum, no norms': {
    nHeads: 1,
    dHead: 6,
    depth: 1,
    innerNorm: false,
    chunk: 1,
    momentum: false,
    maxGradNorm: 2,
  },
  'gated refreshes, normed heads': { chunk: 2, refresh: 4, qkNorm: true, readNorm: true, transitionGate: true },
}

for (const [name, options] of Object.entries(variants)) {
  describeMixer(
    `PooledNeuralMemory: ${name}`,
    (seed) => new PooledNeuralMemory({ ...base, ...options }, new Rng(seed)),
    base.dModel,
  )
}
