import { Rng } from '@mneme/core-tensor'
import { describeMixer } from '@mneme/testing'
import { TuringMemory } from './turing-memory.js'

const D = 6
const options = { dModel: D, rows: 5, dRow: 3 }

for (const addressing of ['content', 'full'] as const) {
  describeMixer(`TuringMemory, ${addressing}`, (seed) => new TuringMemory({ ...options, addressing }, new Rng(seed)), D)
}
