import { eluPlusOne, normalInit, Rng } from '@mneme/core-tensor'
import { describeMixer } from '@mneme/testing'
import { GLA, type GlaOptions } from './gated-linear-attention.js'

const D = 8
const options: GlaOptions = {
  dModel: D,
  nHeads: 2,
  nKvHeads: 2,
  expandK: 0.5,
  expandV: 1,
  gateRank: 3,
  gateTemperature: 2,
  minLogDecay: null,
  convWidth: 0,
  featureMap: null,
  outputGate: true,
  normEps: 1e-5,
  chunk: 8,
  projection: { bias: false, init: normalInit(0.5) },
}
const variants: Readonly<Record<string, Partial<GlaOptions>>> = {
  'as published': {},
  'short convolutions, features, no gate': { convWidth: 3, featureMap: eluPlusOne, outputGate: false },
  'fewer key heads, bounded decay': { nHeads: 4, nKvHeads: 2, minLogDecay: -0.4 },
}

for (const [name, variant] of Object.entries(variants)) {
  describeMixer(`GLA, ${name}`, (seed) => new GLA({ ...options, ...variant }, new Rng(seed)), D)
}
