import { normalInit, Rng } from '@mneme/core-tensor'
import { describeMixer } from '@mneme/testing'
import { GateLoop, type GateLoopOptions } from './gateloop.js'

const D = 6
const options: GateLoopOptions = {
  dModel: D,
  dInner: 8,
  nHeads: 2,
  transition: 'complex',
  outputGate: true,
  subNorm: false,
  gateGradient: 1,
  chunk: 8,
  projection: { bias: false, init: normalInit(0.5) },
}
const variants: Readonly<Record<string, Partial<GateLoopOptions>>> = {
  complex: {},
  'complex, one number a channel': { nHeads: D, dInner: D, outputGate: false },
  'polar, normalised': { transition: 'polar', subNorm: true },
  real: { transition: 'real', chunk: 1 },
  'real, one number a channel': { transition: 'real', nHeads: 8 },
  'no transition': { transition: 'none' },
}

for (const [name, variant] of Object.entries(variants)) {
  describeMixer(`GateLoop, ${name}`, (seed) => new GateLoop({ ...options, ...variant }, new Rng(seed)), D)
}
