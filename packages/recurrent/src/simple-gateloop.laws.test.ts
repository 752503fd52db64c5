import { Rng } from '@mneme/core-tensor'
import { describeMixer } from '@mneme/testing'
import { describeLayer } from '@mneme/testing/layer-goldens'
import { SimpleGateLoop } from './simple-gateloop.js'

const D = 6

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
