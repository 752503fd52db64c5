import { normalInit, Rng } from '@mneme/core-tensor'
import { describeMixer } from '@mneme/testing'
import { GatedDeltaNet, type GatedDeltaNetOptions } from './gated-delta-net.js'

const D = 6
const options: GatedDeltaNetOptions = {
  dModel: D,
  nHeads: 2,
  nVHeads: 2,
  dHead: 3,
  expandV: 2,
  convWidth: 3,
  outputGate: true,
  allowNegEigval: false,
  normEps: 1e-5,
  chunk: 8,
  projection: { bias: false, init: normalInit(0.5) },
}
const variants: Readonly<Record<string, Partial<GatedDeltaNetOptions>>> = {
  'as published': {},
  'negative eigenvalues': { allowNegEigval: true },
  'more value heads, no gate': { nVHeads: 4, expandV: 1, outputGate: false },
  'chunks of one token': { chunk: 1, convWidth: 2 },
}

for (const [name, variant] of Object.entries(variants)) {
  describeMixer(`GatedDeltaNet, ${name}`, (seed) => new GatedDeltaNet({ ...options, ...variant }, new Rng(seed)), D)
}
