import { Rng } from '@mneme/core-tensor'
import { describeMixer } from '@mneme/testing'
import { KnnAttention } from './knn-attention.js'

const D = 6
const options = {
  dModel: D,
  nHeads: 2,
  dHead: 3,
  segment: 4,
  window: 2,
  capacity: 7,
  neighbours: 2,
  temperature: 3,
}

describeMixer('KnnAttention', (seed) => new KnnAttention(options, new Rng(seed)), D)
