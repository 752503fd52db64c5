import { Rng } from '@mneme/core-tensor'
import { describeMixer } from '@mneme/testing'
import { Rwkv5TimeMix } from './rwkv5.js'
import { Rwkv6TimeMix } from './rwkv6.js'

const D = 8
const options = { dModel: D, nHeads: 2, normEps: 1e-5, chunk: 4, layer: 1, nLayers: 3 }

describeMixer('Rwkv5TimeMix', (seed) => new Rwkv5TimeMix(options, new Rng(seed)), D)
describeMixer(
  'Rwkv6TimeMix',
  (seed) => new Rwkv6TimeMix({ ...options, expandK: 0.5, shiftRank: 2, decayRank: 3 }, new Rng(seed)),
  D,
)
