import { Rng } from '@mneme/core-tensor'
import { describeMixer } from '@mneme/testing'
import { Retention, type RetentionOptions } from './retention.js'

const D = 8
const options: RetentionOptions = {
  dModel: D,
  nHeads: 2,
  expandK: 1,
  expandV: 1.5,
  ropeBase: 100,
  normEps: 1e-6,
  chunk: 4,
}

describeMixer('Retention', (seed) => new Retention(options, new Rng(seed)), D)
describeMixer('Retention, not turned', (seed) => new Retention({ ...options, ropeBase: null }, new Rng(seed)), D)

const torchscale = { rotation: 'neighbours', normWeight: false, valueWidth: 10, logDecay: [-0.1, -0.3] } as const
for (const rows of ['by decays', 'by scores'] as const) {
  describeMixer(
    `Retention, rows divided ${rows}`,
    (seed) => new Retention({ ...options, ...torchscale, rows }, new Rng(seed)),
    D,
  )
}
