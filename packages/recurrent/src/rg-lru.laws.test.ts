import { Rng } from '@mneme/core-tensor'
import { describeMixer } from '@mneme/testing'
import { RGLRU } from './rg-lru.js'

const D = 6

describeMixer('RGLRU', (seed) => new RGLRU({ dModel: D, nHeads: 1 }, new Rng(seed)), D)
describeMixer('RGLRU, three blocks', (seed) => new RGLRU({ dModel: D, nHeads: 3 }, new Rng(seed)), D)
