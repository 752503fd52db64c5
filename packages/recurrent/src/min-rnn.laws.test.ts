import { Rng } from '@mneme/core-tensor'
import { describeMixer } from '@mneme/testing'
import { MinGRU, MinLSTM, type MinRnnOptions } from './min-rnn.js'

const D = 6
const options: MinRnnOptions = { dModel: D, expansion: 1.5, h0: 'zero' }

describeMixer('MinGRU', (seed) => new MinGRU(options, new Rng(seed)), D)
describeMixer('MinGRU, expansion 1', (seed) => new MinGRU({ ...options, expansion: 1 }, new Rng(seed)), D)
describeMixer('MinGRU, from one half', (seed) => new MinGRU({ ...options, h0: 'half' }, new Rng(seed)), D)
describeMixer('MinLSTM', (seed) => new MinLSTM(options, new Rng(seed)), D)
describeMixer(
  'MinLSTM, expansion 1, from one half',
  (seed) => new MinLSTM({ dModel: D, expansion: 1, h0: 'half' }, new Rng(seed)),
  D,
)
