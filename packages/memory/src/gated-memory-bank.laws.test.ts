import { Rng } from '@mneme/core-tensor'
import { describeMixer } from '@mneme/testing'
import { GatedMemoryBank } from './gated-memory-bank.js'

const D = 6
for (const [form, slots] of [
  ['paper', 3],
  ['code', 4],
] as const) {
  describeMixer(
    `GatedMemoryBank: ${form}`,
    (seed) => new GatedMemoryBank({ dModel: D, nHeads: 2, slots, form }, new Rng(seed)),
    D,
  )
}
