import { Rng } from '@mneme/core-tensor'
import { describeMixer } from '@mneme/testing'
import { MLSTM, type MlstmOptions } from './mlstm.js'

const D = 8
const options: MlstmOptions = {
  dModel: D,
  nHeads: 2,
  expandK: 0.5,
  expandV: 1,
  gateCap: 15,
  inputGateBias: -1,
  eps: 1e-6,
  normEps: 1e-6,
  chunk: 4,
}

describeMixer('MLSTM', (seed) => new MLSTM(options, new Rng(seed)), D)
describeMixer('MLSTM, biased', (seed) => new MLSTM({ ...options, projection: { bias: true } }, new Rng(seed)), D)
