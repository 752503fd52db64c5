import { Rng } from '@mneme/core-tensor'
import { describeMixer } from '@mneme/testing'
import { LRU, type LruOptions } from './lru.js'

const D = 5
const options: LruOptions = { dModel: D, dState: 7, rMin: 0.5, rMax: 0.99, maxPhase: 6.28, mixing: 'glu' }

describeMixer('LRU', (seed) => new LRU(options, new Rng(seed)), D)
describeMixer('LRU, half mixed', (seed) => new LRU({ ...options, mixing: 'half-glu' }, new Rng(seed)), D)
describeMixer('LRU, not mixed', (seed) => new LRU({ ...options, mixing: 'none' }, new Rng(seed)), D)
