import { FeedForward, LayerNorm, normal, normalInit, parameter, Rng, residualStack } from '@mneme/core-tensor'
import { describeMixer } from '@mneme/testing'
import { CompressiveMemory } from './compressive-memory.js'
import { MemoryShift } from './memory-shift.js'
import { GruCell } from './memory-slots.js'

const [D, H, K, L] = [6, 2, 3, 4]

/** Layers of compressive memory with one table of positions; those that are not `remembering` have none. */
function make(remembering: readonly number[], gated: boolean, seed: number): MemoryShift {
  const rng = new Rng(seed)
  const sizes = { memory: 2, compressed: 2 }
  const table = parameter(normal(rng, [H, L + 4, K], 0.5))
  const projection = { bias: false, init: normalInit(0.5) }
  const options = { dModel: D, nHeads: H, dHead: K, segment: L, rate: 2, compression: 'conv', cut: false } as const
  const stack = residualStack(
    [0, 1, 2].map((layer) => {
      const kept = remembering.includes(layer) ? sizes : { memory: 0, compressed: 0, shared: sizes }
      return {
        mixerNorm: new LayerNorm(D),
        mixer: new CompressiveMemory({ ...options, ...kept, projection, dropsTail: true }, { table }, rng),
        ...(gated && {
          mixerJoin: new GruCell(D, rng),
          mlp: new FeedForward(D, 5, rng),
          mlpNorm: new LayerNorm(D),
          mlpJoin: new GruCell(D, rng),
        }),
      }
    }),
  )
  return new MemoryShift(stack, { dModel: D, segment: L, layers: remembering })
}

describeMixer('MemoryShift: all layers', (seed) => make([0, 1, 2], false, seed), D)
describeMixer('MemoryShift: two of three layers, gates at the joins', (seed) => make([0, 2], true, seed), D)
