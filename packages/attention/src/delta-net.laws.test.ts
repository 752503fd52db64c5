import { eluPlusOne, normalInit, Rng, silu } from '@mneme/core-tensor'
import { describeMixer } from '@mneme/testing'
import { DeltaNet, type DeltaNetOptions } from './delta-net.js'

const D = 6
const options: DeltaNetOptions = {
  dModel: D,
  nHeads: 2,
  expandK: 1,
  expandV: 1,
  convWidth: 3,
  qkActivation: silu,
  qkNorm: 'length',
  learnedBeta: true,
  allowNegEigval: false,
  outputGate: false,
  normEps: 1e-5,
  chunk: 8,
  projection: { bias: false, init: normalInit(0.5) },
}
const variants: Readonly<Record<string, Partial<DeltaNetOptions>>> = {
  'as published': {},
  'negative eigenvalues, gate': { allowNegEigval: true, outputGate: true, expandV: 2 },
  'no convolutions, keys of sum 1, full correction': {
    convWidth: 0,
    qkActivation: eluPlusOne,
    qkNorm: 'sum',
    learnedBeta: false,
  },
}

for (const [name, variant] of Object.entries(variants)) {
  describeMixer(`DeltaNet, ${name}`, (seed) => new DeltaNet({ ...options, ...variant }, new Rng(seed)), D)
}
