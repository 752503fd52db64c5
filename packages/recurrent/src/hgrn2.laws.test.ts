import { normal, parameter, Rng } from '@mneme/core-tensor'
import { describeMixer } from '@mneme/testing'
import { HGRN2, type Hgrn2Options } from './hgrn2.js'
import { LowerBound } from './lower-bound.js'

const D = 6
const options: Hgrn2Options = { dModel: D, expansion: 3, bound: null, convWidth: 0, normEps: 1e-5, chunk: 4 }
const bound = (seed: number) => new LowerBound(parameter(normal(new Rng(seed), [3, D], 1)), 1)

describeMixer('HGRN2', (seed) => new HGRN2(options, new Rng(seed)), D)
describeMixer(
  'HGRN2, bounded, with convolutions',
  (seed) => new HGRN2({ ...options, expansion: 2, bound: bound(seed), convWidth: 3 }, new Rng(seed)),
  D,
)
