import { Rng } from '@mneme/core-tensor'
import { describeMixer } from '@mneme/testing'
import { DiscreteMamba2, type DiscreteMamba2Options } from './discrete-mamba2.js'

const D = 6
const options: DiscreteMamba2Options = {
  dModel: D,
  nHeads: 4,
  dHead: 2,
  dState: 3,
  nGroups: 2,
  convWidth: 4,
  convBias: true,
  activation: 'identity',
  chunk: 4,
}
const other: Partial<DiscreteMamba2Options> = { activation: 'silu', convBias: false, projection: { bias: true } }

describeMixer('DiscreteMamba2', (seed) => new DiscreteMamba2(options, new Rng(seed)), D)
describeMixer('DiscreteMamba2, biased', (seed) => new DiscreteMamba2({ ...options, ...other }, new Rng(seed)), D)
