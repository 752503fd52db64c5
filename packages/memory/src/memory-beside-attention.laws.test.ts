import { Rng } from '@mneme/core-tensor'
import { describeMixer } from '@mneme/testing'
import { read, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { concat, expandDims, slice, tensor3d, tile, type Variable } from '@tensorflow/tfjs-core'
import { test } from 'vitest'
import { MemoryAsGate, MemoryAsLayer } from './memory-beside-attention.js'
import { NeuralMemory } from './neural-memory.js'
import { PersistentTokens } from './persistent-tokens.js'

const D = 5

/** Two small memories stand in for memory and attention, which are whatever mixes a sequence. */
function memory(rng: Rng, momentum = true): NeuralMemory {
  const sizes = { dModel: D, nHeads: 1, dHead: 4, depth: 1, expansion: 1, chunk: 6, convWidth: 2 }
  const rest = { momentum, innerNorm: true, maxLr: 0.1, normEps: 1e-6, lossReduction: 'sum' } as const
  return new NeuralMemory({ ...sizes, ...rest }, rng)
}

const gate = (rng: Rng): MemoryAsGate => new MemoryAsGate(memory(rng), memory(rng), { dModel: D, normEps: 1e-6 })

describeMixer('MemoryAsGate', (seed) => gate(new Rng(seed)), D)
describeMixer(
  'MemoryAsLayer',
  (seed) => new MemoryAsLayer(memory(new Rng(seed)), memory(new Rng(seed + 9), false), D),
  D,
)
describeMixer(
  'PersistentTokens',
  (seed) => new PersistentTokens(memory(new Rng(seed)), { dModel: D, count: 2 }, new Rng(seed + 9)),
  D,
)

test('PersistentTokens: as if the tokens stood in front of every row', async () => {
  await within(async () => {
    const mixer = new PersistentTokens(gate(new Rng(1)), { dModel: D, count: 2 }, new Rng(2))
    const x = tensor3d(
      Float32Array.from({ length: 2 * 4 * D }, (_, i) => Math.sin(3 * i)),
      [2, 4, D],
    )
    const front = tile(expandDims(mixer.persistent as Variable, 0), [2, 1, 1])
    const whole = mixer.inner.forward(concat([front, x], 1)).y
    expectClose(await read(mixer.forward(x).y), await read(slice(whole, [0, 2, 0], [2, 4, D])), 1e-5, 'outputs')
    mixer.dispose()
  })
})
