import { normalInit, Rng } from '@mneme/core-tensor'
import { describeMixer } from '@mneme/testing'
import { fullCache, heavyHitterCache, sinkCache, tovaCache, windowCache } from './cache-policy.js'
import { Alibi, T5Bias } from './position-bias.js'
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
  'linear biases': { rotary: null, distanceBias: new Alibi(4) },
  'linear biases in a window': { rotary: null, distanceBias: new Alibi(4), window: 6 },
  'a score of nothing, a scale, a cap': { sinkLogits: true, scale: 1, softCap: 2 },
  'a window and sinks': { window: 4, sinks: 2 },
  'a cache of the newest': { cache: windowCache(5) },
  'a cache of sinks and the newest, in chunks': { cache: sinkCache(2, 6, 3) },
  'a cache of heavy hitters': { cache: heavyHitterCache(6, 2) },
  'a cache of what the newest query weighs': { cache: tovaCache(5) },
  'a cache of what the newest query weighs, in chunks': { cache: tovaCache(4, 4), sinkLogits: true },
  'a cache of all': { cache: fullCache },
}

for (const [name, variant] of Object.entries(variants)) {
  describeMixer(
    `SoftmaxAttention, ${name}`,
    (seed) => new SoftmaxAttention({ ...options, ...variant }, new Rng(seed)),
    D,
  )
}

const bucketed = { nHeads: 4, buckets: 6, maxDistance: 9 }
describeMixer(
  'SoftmaxAttention, biases in buckets of distance',
  (seed) => {
    const rng = new Rng(seed)
    return new SoftmaxAttention({ ...options, rotary: null, distanceBias: new T5Bias(bucketed, rng) }, rng)
  },
  D,
)
