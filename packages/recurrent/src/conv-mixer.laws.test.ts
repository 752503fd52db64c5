import { Rng } from '@mneme/core-tensor'
import { describeMixer } from '@mneme/testing'
import { ConvMixer } from './conv-mixer.js'

const D = 5

describeMixer('ConvMixer, width 2', (seed) => new ConvMixer(D, 2, new Rng(seed)), D)
describeMixer('ConvMixer, width 4', (seed) => new ConvMixer(D, 4, new Rng(seed)), D)
