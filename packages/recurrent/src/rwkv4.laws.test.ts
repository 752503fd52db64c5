import { Rng } from '@mneme/core-tensor'
import { describeMixer } from '@mneme/testing'
import { RwkvChannelMix } from './rwkv-channel-mix.js'
import { Rwkv4TimeMix } from './rwkv4.js'

const D = 6
const depth = { layer: 1, nLayers: 3 }
const channels = { dModel: D, dInner: 10, ...depth }

describeMixer('Rwkv4TimeMix', (seed) => new Rwkv4TimeMix({ dModel: D, dInner: 5, ...depth }, new Rng(seed)), D)
describeMixer(
  'RwkvChannelMix',
  (seed) => new RwkvChannelMix({ ...channels, mixOf: 'current', receptance: true }, new Rng(seed)),
  D,
)
describeMixer(
  'RwkvChannelMix, of the token before, without receptance',
  (seed) => new RwkvChannelMix({ ...channels, mixOf: 'previous', receptance: false }, new Rng(seed)),
  D,
)
