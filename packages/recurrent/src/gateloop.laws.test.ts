import { normalInit, Rng } from '@mneme/core-tensor'
import { describeMixer } from '@mneme/testing'
import { describeLayer } from '@mneme/testing/layer-goldens'
import { GateLoop, type GateLoopOptions, SimpleGateLoop } from './gateloop.js'

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

describeMixer('SimpleGateLoop', (seed) => new SimpleGateLoop({ dModel: D, postNorm: false }, new Rng(seed)), D)
describeMixer(
  'SimpleGateLoop, normalised after',
  (seed) => new SimpleGateLoop({ dModel: D, postNorm: true }, new Rng(seed)),
  D,
)

describeLayer('simple-gateloop-layer', {
  make: (config) => new SimpleGateLoop({ dModel: Number(config.dim), postNorm: config.post_ln === true }, new Rng(0)),
  paths: {
    'norm.gamma': 'norm.weight',
    'to_qkva.0.weight': 'projection.weight',
    'maybe_post_ln.weight': 'postNorm.weight',
    'maybe_post_ln.bias': 'postNorm.bias',
  },
})
