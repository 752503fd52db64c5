import { normalInit, Rng } from '@mneme/core-tensor'
import { describeMixer } from '@mneme/testing'
import { InfiniAttention, type InfiniAttentionOptions } from './infini-attention.js'

const D = 6
const options: InfiniAttentionOptions = {
  dModel: D,
  nHeads: 2,
  dHead: 4,
  segment: 5,
  deltaRule: false,
  rotary: { dims: 4, base: 100, layout: 'interleaved' },
  gateOn: 'memory',
  gateFirst: true,
  gateInit: 0.3,
  projection: { bias: false, init: normalInit(0.5) },
}
const variants: Readonly<Record<string, Partial<InfiniAttentionOptions>>> = {
  'as in the paper': {},
  'delta rule': { deltaRule: true, rotary: null },
  'as in a public port': { deltaRule: true, rotary: 'stored', gateOn: 'local', gateFirst: false },
  'segments of one token': { segment: 1 },
}

for (const [name, variant] of Object.entries(variants)) {
  describeMixer(`InfiniAttention, ${name}`, (seed) => new InfiniAttention({ ...options, ...variant }, new Rng(seed)), D)
}
