import { normal, parameter, Rng } from '@mneme/core-tensor'
import { describeMixer } from '@mneme/testing'
import { ComplexHGRN, HGRN, type HgrnOptions } from './hgrn.js'
import { LowerBound } from './lower-bound.js'

const D = 6
const options: HgrnOptions = { dModel: D, bound: null, convWidth: 0, normEps: 1e-6 }
const bound = (seed: number) => new LowerBound(parameter(normal(new Rng(seed), [3, D], 1)), 1)

describeMixer('HGRN', (seed) => new HGRN(options, new Rng(seed)), D)
describeMixer(
  'HGRN, bounded, with convolutions',
  (seed) => new HGRN({ ...options, bound: bound(seed), convWidth: 3 }, new Rng(seed)),
  D,
)
describeMixer('ComplexHGRN', (seed) => new ComplexHGRN({ ...options, bound: bound(seed) }, new Rng(seed)), D)
