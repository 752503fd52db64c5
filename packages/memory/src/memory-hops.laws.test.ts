import { Rng } from '@mneme/core-tensor'
import { describeMixer } from '@mneme/testing'
import { WindowHops } from './memory-hops.js'

const D = 6
const adjacent = { dModel: D, hops: 3, slots: 5, tying: 'adjacent', query: 'token', halfRelu: false } as const
const layerwise = { ...adjacent, tying: 'layerwise', query: 'constant', halfRelu: true } as const

describeMixer('WindowHops, adjacent', (seed) => new WindowHops(adjacent, new Rng(seed)), D)
// from another seed, since with the first a unit stands at the kink of its ReLU, where no slope can be measured
describeMixer('WindowHops, layerwise', (seed) => new WindowHops(layerwise, new Rng(seed + 10)), D)
