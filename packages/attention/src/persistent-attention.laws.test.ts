import { normalInit, Rng } from '@mneme/core-tensor'
import { describeMixer } from '@mneme/testing'
import { PersistentAttention } from './persistent-attention.js'

const D = 6
const projection = { bias: false, init: normalInit(0.6) }
const options = { dModel: D, nHeads: 2, dHead: 3, span: 5, slots: 4, projection }

describeMixer('PersistentAttention', (seed) => new PersistentAttention(options, new Rng(seed)), D)
describeMixer(
  'PersistentAttention, one slot, a span longer than the input',
  (seed) => new PersistentAttention({ ...options, span: 40, slots: 1 }, new Rng(seed)),
  D,
)
describeMixer(
  'PersistentAttention, no slots',
  (seed) => new PersistentAttention({ ...options, slots: 0 }, new Rng(seed)),
  D,
)
