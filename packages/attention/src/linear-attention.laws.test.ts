import { normalInit, Rng } from '@mneme/core-tensor'
import { describeMixer } from '@mneme/testing'
import { eluFeatures, type FeatureMap, favorFeatures, reluFeatures, taylorFeatures } from './feature-maps.js'
import { LinearAttention } from './linear-attention.js'

const D = 6
const K = 3
const maps: Readonly<Record<string, FeatureMap>> = {
  'ELU + 1': eluFeatures,
  ReLU: reluFeatures,
  Taylor: taylorFeatures,
  'FAVOR+': favorFeatures({ dHead: K, features: 7, seed: 1 }),
  'FAVOR+ of a rectifier': favorFeatures({ dHead: K, features: 5, seed: 2, kernel: 'relu' }),
}

for (const [name, featureMap] of Object.entries(maps)) {
  const options = {
    dModel: D,
    nHeads: 2,
    dHead: K,
    featureMap,
    eps: 1e-6,
    chunk: 8,
    projection: { init: normalInit(0.5) },
  }
  describeMixer(`LinearAttention, ${name}`, (seed) => new LinearAttention(options, new Rng(seed)), D)
}
