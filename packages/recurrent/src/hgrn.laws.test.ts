import { constant, Rng } from '@mneme/core-tensor'
import { describeMixer } from '@mneme/testing'
import { ComplexHGRN, HGRN, type HgrnOptions } from './hgrn.js'

const D = 6
const options: HgrnOptions = { dModel: D, lowerBound: null, convWidth: 0, normEps: 1e-6 }
const lowerBound = () => constant([D], 0.4)

describeMixer('HGRN', (seed) => new HGRN(options, new Rng(seed)), D)
describeMixer(
  'HGRN, bounded, with convolutions',
  (seed) => new HGRN({ ...options, lowerBound, convWidth: 3 }, new Rng(seed)),
  D,
)
describeMixer('ComplexHGRN', (seed) => new ComplexHGRN({ ...options, lowerBound }, new Rng(seed)), D)
