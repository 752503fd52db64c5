import { Rng } from '@mneme/core-tensor'
import { describeMixer } from '@mneme/testing'
import { MlstmBlock, type MlstmBlockOptions } from './mlstm-block.js'

const D = 6
const options: MlstmBlockOptions = {
  dModel: D,
  dInner: 8,
  nHeads: 2,
  convWidth: 3,
  mapBlock: 4,
  bias: false,
  eps: 1e-6,
  normEps: 1e-5,
  chunk: 4,
}
const biased: Partial<MlstmBlockOptions> = { bias: true, nHeads: 4, mapBlock: 2, normOffset: 1 }

describeMixer('MlstmBlock', (seed) => new MlstmBlock(options, new Rng(seed)), D)
describeMixer('MlstmBlock, biased', (seed) => new MlstmBlock({ ...options, ...biased }, new Rng(seed)), D)
