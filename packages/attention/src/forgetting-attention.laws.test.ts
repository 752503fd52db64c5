import { normalInit, Rng } from '@mneme/core-tensor'
import { describeMixer } from '@mneme/testing'
import { ForgettingAttention, type ForgettingAttentionOptions } from './forgetting-attention.js'

const D = 6
const options: ForgettingAttentionOptions = {
  dModel: D,
  nHeads: 2,
  nKvHeads: 2,
  dHead: 3,
  gate: { from: 'token' },
  rotary: null,
  qkNormEps: null,
  kvShift: false,
  outputNormEps: null,
  outputGate: false,
  projection: { bias: false, init: normalInit(0.5) },
}
const variants: Readonly<Record<string, Partial<ForgettingAttentionOptions>>> = {
  plain: {},
  Pro: { qkNormEps: 1e-6, kvShift: true, outputNormEps: 1e-6, outputGate: true },
  'fewer key heads, learned gates, rotary': {
    nHeads: 4,
    dHead: 4,
    gate: { from: 'learned', shortest: 2, longest: 20 },
    rotary: { dims: 2 },
  },
  'fixed gates, biases': { gate: { from: 'fixed', shortest: 2, longest: 20 }, projection: { bias: true } },
}

for (const [name, variant] of Object.entries(variants)) {
  describeMixer(
    `ForgettingAttention, ${name}`,
    (seed) => new ForgettingAttention({ ...options, ...variant }, new Rng(seed)),
    D,
  )
}
