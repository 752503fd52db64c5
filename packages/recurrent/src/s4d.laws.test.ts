import { Rng } from '@mneme/core-tensor'
import { describeMixer } from '@mneme/testing'
import { describeLayer } from '@mneme/testing/layer-goldens'
import type { ComplexState } from './diagonal-ssm.js'
import { S4D, type S4dOptions } from './s4d.js'

const D = 5
const options: S4dOptions = { dModel: D, dState: 6, frequencies: 'lin', mixing: 'glu' }

describeMixer('S4D', (seed) => new S4D(options, new Rng(seed)), D)
describeMixer(
  'S4D, inverse frequencies, not mixed',
  (seed) => new S4D({ ...options, frequencies: 'inv', mixing: 'none' }, new Rng(seed)),
  D,
)

describeLayer<ComplexState, S4D>('s4d', {
  make: (config) =>
    new S4D(
      { dModel: Number(config.d_model), dState: Number(config.d_state), frequencies: 'lin', mixing: 'glu' },
      new Rng(0),
    ),
  paths: {
    'kernel.C': 'c',
    'kernel.log_dt': 'logStep',
    'kernel.log_A_real': 'logARe',
    'kernel.A_imag': 'aIm',
    D: 'skip',
    'output_linear.0.weight': 'output.linear.weight',
    'output_linear.0.bias': 'output.linear.bias',
  },
  channelsFirst: true,
  states: { 'state.h_re': ({ hr }) => hr, 'state.h_im': ({ hi }) => hi },
  derived: { kernel: (mixer, length) => mixer.kernel(length) },
})
