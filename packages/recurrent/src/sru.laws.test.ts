import { Rng } from '@mneme/core-tensor'
import { describeMixer } from '@mneme/testing'
import { SRU } from './sru.js'

const D = 6

describeMixer('SRU', (seed) => new SRU({ dModel: D, activation: 'none', highwayBias: 0 }, new Rng(seed)), D)
describeMixer('SRU, tanh', (seed) => new SRU({ dModel: D, activation: 'tanh', highwayBias: -1 }, new Rng(seed)), D)
