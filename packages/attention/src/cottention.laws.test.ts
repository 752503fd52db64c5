import { normalInit, Rng } from '@mneme/core-tensor'
import { describeMixer } from '@mneme/testing'
import { Cottention } from './cottention.js'

const D = 6
const projection = { bias: false, init: normalInit(0.6) }
const options = { dModel: D, nHeads: 2, dHead: 4, rotary: null, chunk: 8, projection }

describeMixer('Cottention', (seed) => new Cottention(options, new Rng(seed)), D)
describeMixer(
  'Cottention, half of each head turned',
  (seed) => new Cottention({ ...options, rotary: { dims: 2, base: 100, layout: 'interleaved' } }, new Rng(seed)),
  D,
)
