import { Rng } from '@mneme/core-tensor'
import { describeMixer } from '@mneme/testing'
import { QRNN } from './qrnn.js'

const D = 6

describeMixer('QRNN, f', (seed) => new QRNN({ dModel: D, width: 1, pooling: 'f' }, new Rng(seed)), D)
describeMixer('QRNN, fo', (seed) => new QRNN({ dModel: D, width: 2, pooling: 'fo' }, new Rng(seed)), D)
describeMixer('QRNN, ifo', (seed) => new QRNN({ dModel: D, width: 4, pooling: 'ifo' }, new Rng(seed)), D)
