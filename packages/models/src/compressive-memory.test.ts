import { RelativeAttention } from '@mneme/attention/relative-attention'
import { normal, normalInit, parameter, Rng } from '@mneme/core-tensor'
import { CompressiveMemory } from '@mneme/memory/compressive-memory'
import { read, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { describe, test } from 'vitest'

const [D, H, K] = [6, 2, 3]
const sizes = { dModel: D, nHeads: H, dHead: K, segment: 4, projection: { bias: false, init: normalInit(0.5) } }

describe('compressive memory and the cache of Transformer-XL, with the same weights', () => {
  const cases = [
    { name: 'no compressed slots', memory: 6, compressed: 0, rate: 3 },
    { name: 'means of single rows', memory: 4, compressed: 5, rate: 1 },
  ] as const
  for (const { name, memory, compressed, rate } of cases) {
    test(`${name}: the same`, async () => {
      await within(async () => {
        const rng = new Rng(1)
        const biases = { content: parameter(normal(rng, [H, K], 0.5)), position: parameter(normal(rng, [H, K], 0.5)) }
        const cached = new RelativeAttention(
          { ...sizes, memory: memory + compressed, sameLength: false, clampLength: 0 },
          biases,
          rng,
        )
        const mixer = new CompressiveMemory(
          { ...sizes, memory, compressed, rate, compression: 'mean', cut: true },
          biases,
          rng,
        )
        const { 'qkvProj.weight': qkv, ...rest } = await cached.stateDict()
        const values = qkv?.values as Float32Array
        const rows = (from: number, to: number) => ({
          shape: [(to - from) * H * K, D],
          values: values.slice(from * H * K * D, to * H * K * D),
        })
        mixer.loadStateDict({ ...rest, 'qProj.weight': rows(0, 1), 'kvProj.weight': rows(1, 3) })
        const x = normal(new Rng(2), [2, 22, D], 1)
        expectClose(await read(mixer.forward(x).y), await read(cached.forward(x).y), 1e-5, 'outputs')
      })
    })
  }
})
