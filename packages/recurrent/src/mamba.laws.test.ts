import { normalInit, Rng } from '@mneme/core-tensor'
import { describeMixer } from '@mneme/testing'
import { describeStack, lastInputs } from '@mneme/testing/stack-goldens'
import { Mamba, type MambaOptions, type MambaState } from './mamba.js'

const D = 6
const options: MambaOptions = {
  dModel: D,
  dInner: 10,
  dState: 3,
  dtRank: 2,
  convWidth: 4,
  convBias: true,
  projection: { bias: false, init: normalInit(0.5) },
}

describeMixer('Mamba', (seed) => new Mamba(options, new Rng(seed)), D)
describeMixer(
  'Mamba, one state a channel, biases on the maps and none on the convolution',
  (seed) => new Mamba({ ...options, dState: 1, convWidth: 2, convBias: false, projection: {} }, new Rng(seed)),
  D,
)

describeStack<MambaState>('hf-mamba', {
  make: (config) =>
    new Mamba(
      {
        dModel: Number(config.hidden_size),
        dInner: Number(config.intermediate_size),
        dState: Number(config.state_size),
        dtRank: Number(config.time_step_rank),
        convWidth: Number(config.conv_kernel),
        convBias: config.use_conv_bias === true,
        projection: { bias: config.use_bias === true },
      },
      new Rng(0),
    ),
  paths: {
    'in_proj.weight': 'inProj.weight',
    'in_proj.bias': 'inProj.bias',
    'conv1d.weight': 'conv.weight',
    'conv1d.bias': 'conv.bias',
    'x_proj.weight': 'xProj.weight',
    'dt_proj.weight': 'dtProj.weight',
    'dt_proj.bias': 'dtProj.bias',
    A_log: 'logA',
    D: 'skip',
    'out_proj.weight': 'outProj.weight',
    'out_proj.bias': 'outProj.bias',
  },
  states: {
    'state.ssm': ({ h }, stored) => [h, stored],
    'state.conv': ({ tail }, stored) => [tail, lastInputs(stored, tail)],
  },
})
