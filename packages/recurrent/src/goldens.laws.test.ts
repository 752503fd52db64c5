import { linearScan, minGru } from '@mneme/core-tensor'
import { describeKernels, kernel } from '@mneme/testing/kernel-goldens'
import { concat, exp, mul, sigmoid, type Tensor } from '@tensorflow/tfjs-core'
import { describe } from 'vitest'
import { minGruCoefficients } from './min-rnn.js'
import { rgLruLogDecay, rgLruScale } from './rg-lru.js'

type MinGruStates = (hidden: Tensor, gate: Tensor, h0: Tensor) => Tensor
const minGruForms: readonly (readonly [form: string, states: MinGruStates])[] = [
  ['coefficients and scan', (hidden, gate, h0) => linearScan({ ...minGruCoefficients(hidden, gate), h0 }).h],
  ['one op', (hidden, gate, h0) => minGru({ projected: concat([hidden, gate], 2), h0 }).h],
]

describe.each(minGruForms)('minGRU by %s', (_, states) => {
  describeKernels({ 'kernel-mingru': kernel(['h_', 'g', 'h0'], ({ h_, g, h0 }) => ({ h: states(h_, g, h0) })) })
})

describeKernels({
  'kernel-rg-lru': kernel(['x', 'ix', 'rx', 'Lam', 'h0'], ({ x, ix, rx, Lam, h0 }) => {
    const logDecay = rgLruLogDecay(rx, Lam)
    return linearScan({ a: exp(logDecay), b: mul(rgLruScale(logDecay), mul(sigmoid(ix), x)), h0 })
  }),
})
