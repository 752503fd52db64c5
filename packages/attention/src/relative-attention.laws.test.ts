import { normal, normalInit, parameter, Rng } from '@mneme/core-tensor'
import { describeMixer } from '@mneme/testing'
import { RelativeAttention, type RelativeAttentionOptions } from './relative-attention.js'

const D = 6
const [H, K] = [2, 3]
const options: RelativeAttentionOptions = {
  dModel: D,
  nHeads: H,
  dHead: K,
  segment: 5,
  memory: 7,
  sameLength: false,
  clampLength: 0,
  projection: { bias: false, init: normalInit(0.5) },
}
const variants: Readonly<Record<string, Partial<RelativeAttentionOptions>>> = {
  'memory longer than a segment': {},
  'memory shorter than a segment': { memory: 2 },
  'no memory': { memory: 0 },
  'every query sees as many keys': { sameLength: true, memory: 6 },
  'distances clamped': { clampLength: 4 },
  'memory of zeros': { sameLength: true, memory: 6, zeroMemory: true },
}

function make(seed: number, variant: Partial<RelativeAttentionOptions>): RelativeAttention {
  const rng = new Rng(seed)
  const biases = { content: parameter(normal(rng, [H, K], 0.5)), position: parameter(normal(rng, [H, K], 0.5)) }
  return new RelativeAttention({ ...options, ...variant }, biases, rng)
}

for (const [name, variant] of Object.entries(variants)) {
  describeMixer(`RelativeAttention, ${name}`, (seed) => make(seed, variant), D)
}
