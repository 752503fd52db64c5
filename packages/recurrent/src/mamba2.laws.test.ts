import { normalInit, Rng } from '@mneme/core-tensor'
import { describeMixer } from '@mneme/testing'
import { describeKernels, kernel } from '@mneme/testing/kernel-goldens'
import { describeStack, lastInputs } from '@mneme/testing/stack-goldens'
import { transpose } from '@tensorflow/tfjs-core'
import { Mamba2, type Mamba2Options, type Mamba2State, ssd } from './mamba2.js'

const D = 6
const options: Mamba2Options = {
  dModel: D,
  nHeads: 4,
  dHead: 3,
  dState: 5,
  nGroups: 1,
  convWidth: 4,
  convBias: true,
  stepLimit: [0, Number.POSITIVE_INFINITY],
  normEps: 1e-5,
  normGroups: 1,
  chunk: 8,
  projection: { bias: false, init: normalInit(0.5) },
}
const variants: Readonly<Record<string, Partial<Mamba2Options>>> = {
  'as published': {},
  'two groups, normalised in groups': { nGroups: 2, normGroups: 2, convWidth: 2 },
  'limited steps, biases on the maps and none on the convolution': {
    stepLimit: [0.3, 0.9],
    convBias: false,
    projection: { init: normalInit(0.5) },
    chunk: 1,
  },
}

for (const [name, variant] of Object.entries(variants)) {
  describeMixer(`Mamba2, ${name}`, (seed) => new Mamba2({ ...options, ...variant }, new Rng(seed)), D)
}

const turned = [0, 1, 3, 2]
describeKernels({
  'kernel-ssd': kernel(['x', 'dt', 'A', 'B', 'C', 'D', 'h0'], ({ x, dt, A, B, C, D: skip, h0 }) => {
    const { y, state } = ssd({ x, step: dt, A, Bt: B, C, skip, state: transpose(h0, turned) }, 16)
    return { y, final_state: transpose(state, turned) }
  }),
})

describeStack<Mamba2State>('hf-mamba2', {
  make: (config) =>
    new Mamba2(
      {
        dModel: Number(config.hidden_size),
        nHeads: Number(config.num_heads),
        dHead: Number(config.head_dim),
        dState: Number(config.state_size),
        nGroups: Number(config.n_groups),
        convWidth: Number(config.conv_kernel),
        convBias: config.use_conv_bias === true,
        stepLimit: config.time_step_limit as [number, number],
        normEps: Number(config.layer_norm_epsilon),
        normGroups: 1,
        chunk: Number(config.chunk_size),
        projection: { bias: config.use_bias === true },
      },
      new Rng(0),
    ),
  paths: {
    'in_proj.weight': 'inProj.weight',
    'in_proj.bias': 'inProj.bias',
    'conv1d.weight': 'conv.weight',
    'conv1d.bias': 'conv.bias',
    dt_bias: 'stepBias',
    A_log: 'logA',
    D: 'skip',
    'norm.weight': 'norm.weight',
    'out_proj.weight': 'outProj.weight',
    'out_proj.bias': 'outProj.bias',
  },
  states: {
    'state.ssm': ({ h }, stored) => [h, transpose(stored, turned)],
    'state.conv': ({ tail }, stored) => [tail, lastInputs(stored, tail)],
  },
})
