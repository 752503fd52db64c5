import { Rng } from '@mneme/core-tensor'
import { describeMixer } from '@mneme/testing'
import { RgLruBlock } from './rg-lru-block.js'

const options = { dModel: 5, dInner: 6, nHeads: 2, convWidth: 3 }

describeMixer('RgLruBlock', (seed) => new RgLruBlock(options, new Rng(seed)), 5)
