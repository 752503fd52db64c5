import { Rng } from '@mneme/core-tensor'
import { describeMixer } from '@mneme/testing'
import { GRU } from './gru.js'

const D = 6

describeMixer('GRU', (seed) => new GRU({ dModel: D, dHidden: D }, new Rng(seed)), D)
describeMixer('GRU, wider inside', (seed) => new GRU({ dModel: D, dHidden: 9 }, new Rng(seed)), D)
