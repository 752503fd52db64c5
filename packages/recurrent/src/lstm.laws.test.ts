import { Rng } from '@mneme/core-tensor'
import { describeMixer } from '@mneme/testing'
import { LSTM } from './lstm.js'

const D = 6

describeMixer('LSTM', (seed) => new LSTM({ dModel: D, dHidden: D, forgetBias: 1 }, new Rng(seed)), D)
describeMixer('LSTM, wider inside', (seed) => new LSTM({ dModel: D, dHidden: 9, forgetBias: null }, new Rng(seed)), D)
