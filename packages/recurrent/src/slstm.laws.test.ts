import { normal, Rng } from '@mneme/core-tensor'
import { describeMixer } from '@mneme/testing'
import { SLSTM, type SlstmOptions } from './slstm.js'

const D = 6
const options: SlstmOptions = { dModel: D, nHeads: 2, convWidth: 4, depth: 0, normEps: 1e-5 }

/** With recurrent weights, which start at 0. */
function mixing(seed: number, changed: Partial<SlstmOptions>): SLSTM {
  const mixer = new SLSTM({ ...options, ...changed }, new Rng(seed))
  const start = normal(new Rng(seed + 1), mixer.recurrentWeight.shape, 0.5)
  mixer.recurrentWeight.assign(start)
  start.dispose()
  return mixer
}

describeMixer('SLSTM', (seed) => mixing(seed, {}), D)
describeMixer('SLSTM, one head, late', (seed) => mixing(seed, { nHeads: 1, convWidth: 2, depth: 1 }), D)
