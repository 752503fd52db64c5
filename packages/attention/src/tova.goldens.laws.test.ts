import type { State } from '@mneme/core-tensor'
import { goldenDecoder, llamaNames } from '@mneme/testing/decoder-goldens'
import { type Golden, type GoldenTensor, goldens, toTensor } from '@mneme/testing/goldens'
import { inPieces, read, type Sequence, within } from '@mneme/testing/subject'
import { expectClose, tolerances } from '@mneme/testing/tolerance'
import { type Tensor, transpose } from '@tensorflow/tfjs-core'
import { describe, test } from 'vitest'
import { type CachePolicy, fullCache, tovaCache } from './cache-policy.js'
import { SoftmaxAttention } from './softmax-attention.js'

const all = goldens()

/** The decoder of the golden's weights, its caches held to a policy. */
function decoderWith(cache: CachePolicy, golden: Golden) {
  const config = golden.json('config')
  const number = (key: string, fallback = 0): number => (config[key] as number | null) ?? fallback
  const nHeads = number('num_attention_heads')
  const dHead = number('head_dim', number('hidden_size') / nHeads)
  const options = {
    dModel: number('hidden_size'),
    nHeads,
    nKvHeads: number('num_key_value_heads', nHeads),
    dHead,
    window: 0,
    rotary: { dims: dHead, base: number('rope_theta', 10000) },
    cache,
  }
  return goldenDecoder(golden, llamaNames, {
    mixer: (rng) => new SoftmaxAttention(options, rng),
    rules: ['q', 'k', 'v', 'o'].map((p) => ({ path: `${p}Proj.weight`, name: `self_attn.${p}_proj.weight` })),
    normEps: number('rms_norm_eps', 1e-6),
  }).model
}

// the full cache needs the weights alone, which stand in the repository
for (const golden of all) {
  if (golden.name === 'hf-llama') {
    describe('golden hf-llama', () => {
      test('a cache that gives up nothing, token by token', async () => {
        await within(async () => {
          const model = decoderWith(fullCache, golden)
          const expected = golden.read('expected')
          const ids = toTensor(expected.get('input_ids') as GoldenTensor)
          const { y } = inPieces(model as unknown as Sequence, ids, Array<number>(ids.shape[1] as number).fill(1))
          expectClose(await read(y), (expected.get('logits') as GoldenTensor).values, 2e-5, 'scores')
          model.dispose()
        })
      })
    })
  }
  if (golden.files.includes('tova.json')) describeGolden(golden)
}

function describeGolden(golden: Golden): void {
  const own = golden.files.includes('model.safetensors')
  const weights = own ? golden : all.find(({ name }) => name === 'hf-llama')
  if (weights === undefined) throw new Error(`${golden.name}: expected weights of its own or of hf-llama, got none.`)
  describe(`golden ${golden.name}`, () => {
    const expected = golden.read('expected')
    const value = (name: string): GoldenTensor => expected.get(name) as GoldenTensor

    test('scores and the cache at the end, in one call and token by token', async () => {
      await within(async () => {
        const model = decoderWith(tovaCache(golden.json('tova').cache_size as number), weights)
        const ids = toTensor(value('input_ids'))
        const T = ids.shape[1] as number
        for (const sizes of [[T], Array<number>(T).fill(1)]) {
          const { y, state } = inPieces(model as unknown as Sequence, ids, sizes)
          const limit = Math.max(tolerances.forward(), 2e-5)
          expectClose(await read(y), value('logits_tova').values, limit, `scores in ${sizes.length} calls`)
          for (const [i, layer] of (state as readonly State[]).entries()) {
            const { keys, values } = layer as { readonly keys: Tensor; readonly values: Tensor }
            const heads = (x: Tensor): Promise<Float32Array> => read(transpose(x, [0, 2, 1, 3]))
            expectClose(await heads(keys), value(`key_cache.${i}`).values, limit, `keys of layer ${i}`)
            expectClose(await heads(values), value(`value_cache.${i}`).values, limit, `values of layer ${i}`)
          }
        }
        model.dispose()
      })
    })
  })
}
