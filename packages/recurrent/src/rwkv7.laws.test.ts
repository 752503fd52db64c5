import { Rng } from '@mneme/core-tensor'
import { describeMixer } from '@mneme/testing'
import { Rwkv7TimeMix } from './rwkv7.js'

const D = 8
const ranks = { w: 2, a: 3, v: 2, g: 3 }
const options = { dModel: D, nHeads: 2, dValue: D, ranks, normEps: 1e-3, chunk: 4, layer: 0, nLayers: 2 }

describeMixer('Rwkv7TimeMix', (seed) => new Rwkv7TimeMix(options, new Rng(seed)), D)
describeMixer('Rwkv7TimeMix, wide values', (seed) => new Rwkv7TimeMix({ ...options, dValue: 12 }, new Rng(seed)), D)
