import type { State } from '@mneme/core-tensor'
import { type GoldenTensor, goldenDirectory, goldens, toTensor } from '@mneme/testing/goldens'
import { inPieces, read, type Sequence, within } from '@mneme/testing/subject'
import { expectClose, tolerances } from '@mneme/testing/tolerance'
import { type Tensor, tensor2d, transpose } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { fromPretrained } from './pretrained.js'
import tova, { type TovaConfig } from './tova.js'
import transformer from './transformer.js'

const policies = ['tova', 'h2o', 'window', 'sinks', 'full'] as const
const ids = tensor2d([Array.from({ length: 12 }, (_, t) => (t * t + 3) % 13)], [1, 12], 'int32')

describe('bounded caches', () => {
  test.each(policies)('%s: room for all tokens is the plain transformer; less of it is not', async (policy) => {
    await within(async () => {
      const plain = transformer.build({ ...transformer.config, ...tova.tiny })
      const run = async (config: Partial<TovaConfig>): Promise<Float32Array> =>
        read(tova.build({ ...tova.tiny, policy, ...config }).forward(ids).y)
      const all = await read(plain.forward(ids).y)
      expectClose(await run({ capacity: 12 }), all, 1e-5, 'scores')
      if (policy !== 'full') expect(await run({ capacity: 3 })).not.toEqual(all)
      plain.dispose()
    })
  })

  test('each layer keeps as many keys as there is room for', async () => {
    await within(async () => {
      const model = tova.build(tova.tiny)
      for (const layer of model.forward(ids).state as readonly State[]) {
        expect((layer as { readonly keys: Tensor }).keys.shape[1]).toBe(tova.tiny.capacity)
      }
      model.dispose()
    })
  })
})

const all = goldens()
for (const golden of all) {
  if (!golden.files.includes('tova.json')) continue
  const { cache_size: capacity, model: elsewhere } = golden.json('tova')
  const own = golden.files.includes('model.safetensors')
  const weights = own ? golden : all.find(({ name }) => name === String(elsewhere).split('/').at(-1))
  test(`golden ${golden.name}: scores and the cache at the end, in one call and token by token`, async () => {
    await within(async () => {
      if (weights === undefined) throw new Error(`${golden.name}: expected the weights of ${elsewhere}, got none.`)
      const { model } = await fromPretrained(goldenDirectory(weights), { paper: 'tova', config: { capacity } })
      const expected = golden.read('expected')
      const value = (name: string): Float32Array => (expected.get(name) as GoldenTensor).values as Float32Array
      const tokens = toTensor(expected.get('input_ids') as GoldenTensor)
      const T = tokens.shape[1] as number
      const limit = Math.max(tolerances.forward(), 2e-5)
      for (const sizes of [[T], Array<number>(T).fill(1)]) {
        const { y, state } = inPieces(model as unknown as Sequence, tokens, sizes)
        expectClose(await read(y), value('logits_tova'), limit, `scores in ${sizes.length} calls`)
        for (const [i, layer] of (state as readonly State[]).entries()) {
          const { keys, values } = layer as { readonly keys: Tensor; readonly values: Tensor }
          const heads = (x: Tensor): Promise<Float32Array> => read(transpose(x, [0, 2, 1, 3]))
          expectClose(await heads(keys), value(`key_cache.${i}`), limit, `keys of layer ${i}`)
          expectClose(await heads(values), value(`value_cache.${i}`), limit, `values of layer ${i}`)
        }
      }
      model.dispose()
    })
  })
}
