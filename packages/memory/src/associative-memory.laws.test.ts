import { normalInit, Rng } from '@mneme/core-tensor'
import { describeMemory } from '@mneme/testing'
import { AssociativeMemory } from './associative-memory.js'

const D = 5
const variants = { 'three rolls': [3, true], 'one roll, no correction': [1, false] } as const

for (const [name, [rolls, correction]] of Object.entries(variants)) {
  describeMemory(`AssociativeMemory: ${name}`, {
    make: (seed) =>
      new AssociativeMemory({ dModel: D, dKey: 3, rolls, correction, valueInit: normalInit(0.5) }, new Rng(seed)),
    dModel: D,
    entry: (h) => ({ h }),
  })
}
