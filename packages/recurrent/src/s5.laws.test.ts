import { Rng } from '@mneme/core-tensor'
import { describeMixer } from '@mneme/testing'
import { S5, type S5Options } from './s5.js'

const D = 5
const options: S5Options = { dModel: D, dState: 8, blocks: 1, clipRates: false, mixing: 'glu' }

describeMixer('S5', (seed) => new S5(options, new Rng(seed)), D)
describeMixer(
  'S5, two blocks, rates clipped, half mixed',
  (seed) => new S5({ ...options, blocks: 2, clipRates: true, mixing: 'half-glu' }, new Rng(seed)),
  D,
)
