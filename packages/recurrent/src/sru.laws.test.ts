import { Rng } from '@mneme/core-tensor'
import { describeMixer } from '@mneme/testing'
import { SRU } from './sru.js'

const D = 6
const plain = { dModel: D, activation: 'none', highwayBias: 0, peephole: false } as const

describeMixer('SRU', (seed) => new SRU(plain, new Rng(seed)), D)
describeMixer('SRU, tanh', (seed) => new SRU({ ...plain, activation: 'tanh', highwayBias: -1 }, new Rng(seed)), D)
describeMixer('SRU, peepholes', (seed) => new SRU({ ...plain, activation: 'tanh', peephole: true }, new Rng(seed)), D)
