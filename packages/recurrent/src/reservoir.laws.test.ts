import { Rng } from '@mneme/core-tensor'
import { describeMixer } from '@mneme/testing'
import { ReservoirMemory } from './reservoir.js'

const D = 6
const options = {
  dModel: D,
  dReservoir: 10,
  dReadout: 7,
  leak: 0.4,
  spectralRadius: 0.9,
  density: 0.5,
  inputScale: 0.5,
  normEps: 1e-5,
  backprop: true,
}

describeMixer('ReservoirMemory', (seed) => new ReservoirMemory(options, new Rng(seed)), D)
