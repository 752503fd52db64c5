import { normalInit, Rng } from '@mneme/core-tensor'
import { describeMixer } from '@mneme/testing'
import { SoftmaxAttention, type SoftmaxAttentionOptions } from './softmax-attention.js'

const D = 6
const options: SoftmaxAttentionOptions = {
  dModel: D,
  nHeads: 4,
  nKvHeads: 2,
  dHead: 4,
  window: 0,
  rotary: { dims: 4, base: 100 },
  projection: { bias: false, init: normalInit(0.5) },
}
const variants: Readonly<Record<string, Partial<SoftmaxAttentionOptions>>> = {
  'grouped queries': {},
  'one key head, biases': { nKvHeads: 1, projection: { bias: true, init: normalInit(0.5) } },
  'a window of 5': { window: 5 },
  'a window longer than the input': { window: 64, nKvHeads: 4 },
  'no positions': { rotary: null },
  'half of each head turned, in pairs': { rotary: { dims: 2, base: 100, layout: 'interleaved' } },
}

for (const [name, variant] of Object.entries(variants)) {
  describeMixer(
    `SoftmaxAttention, ${name}`,
    (seed) => new SoftmaxAttention({ ...options, ...variant }, new Rng(seed)),
    D,
  )
}
