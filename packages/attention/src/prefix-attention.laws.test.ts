import { normalInit, Rng } from '@mneme/core-tensor'
import { describeMixer } from '@mneme/testing'
import { Aaren } from './aaren.js'
import { Latte } from './latte.js'

const D = 6
const projection = { bias: false, init: normalInit(0.6) }
const aaren = { dModel: D, nHeads: 2, dHead: 3, chunk: 8, projection }
const latte = { dModel: D, nHeads: 2, slots: 6, scale: 1, chunk: 8, projection }

describeMixer('Aaren', (seed) => new Aaren(aaren, new Rng(seed)), D)
describeMixer('Latte', (seed) => new Latte(latte, new Rng(seed)), D)
describeMixer(
  'Latte, scaled, with biases',
  (seed) => new Latte({ ...latte, scale: 0.5, projection: {} }, new Rng(seed)),
  D,
)
