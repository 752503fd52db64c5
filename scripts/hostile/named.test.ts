import { SafetensorsError, writeSafetensors } from '@mneme/core-tensor/io/safetensors'
import { type CheckpointStore, memoryStore, storeDirectory } from '@mneme/core-tensor/io/store'
import { loadPaper } from '@mneme/models'
import { fromPretrained, savePretrained } from '@mneme/models/pretrained'
import { memory } from '@tensorflow/tfjs-core'
import { expect, test } from 'vitest'
import { bytesOf } from './mutations'

const single = 'model.safetensors'
const index = 'model.safetensors.index.json'

async function published(): Promise<CheckpointStore> {
  const paper = await loadPaper('mamba')
  const store = memoryStore()
  const model = paper.build(paper.tiny)
  await savePretrained(store, { model, paper, config: paper.tiny })
  model.dispose()
  return store
}

const bytes = async (store: CheckpointStore, name: string): Promise<Uint8Array> =>
  (await store.read(name)) ?? new Uint8Array()

async function config(store: CheckpointStore, changes: object): Promise<void> {
  const before = JSON.parse(new TextDecoder().decode(await bytes(store, 'config.json'))) as object
  await store.write('config.json', bytesOf(JSON.stringify({ ...before, ...changes })))
}

/** The one file as two shards and an index, in which `of` says where a tensor is. */
async function sharded(store: CheckpointStore, of: (name: string, shard: string) => string): Promise<void> {
  const { parseSafetensors } = await import('@mneme/core-tensor/io/safetensors')
  const { tensors } = parseSafetensors(await bytes(store, single))
  const names = [...tensors.keys()]
  const half = (second: boolean) => [...tensors].filter((_, i) => i % 2 === Number(second))
  const shards = ['a.safetensors', 'b.safetensors'] as const
  await store.write(shards[0], writeSafetensors(new Map(half(false))))
  await store.write(shards[1], writeSafetensors(new Map(half(true))))
  const map = Object.fromEntries(names.map((name, i) => [name, of(name, shards[i % 2] as string)]))
  await store.remove(single)
  await store.write(index, bytesOf(JSON.stringify({ weight_map: map })))
}

interface Case {
  readonly title: string
  readonly damage: (store: CheckpointStore) => Promise<void>
  readonly kind: typeof RangeError | typeof SafetensorsError
  readonly says: RegExp
}

const cases: readonly Case[] = [
  {
    title: 'a header of 4 GB',
    damage: async (store) => {
      const damaged = await bytes(store, single)
      new DataView(damaged.buffer, damaged.byteOffset).setBigUint64(0, 2n ** 32n, true)
      await store.write(single, damaged)
    },
    kind: SafetensorsError,
    says: /expected a header of at most 100000000 bytes, got 4294967296/,
  },
  {
    title: 'a shard outside the folder',
    damage: (store) => sharded(store, (_, shard) => `../${shard}`),
    kind: SafetensorsError,
    says: /expected a shard in the same folder, got "\.\.\/a\.safetensors"/,
  },
  {
    title: 'a shard that is missing',
    damage: async (store) => {
      await sharded(store, (_, shard) => shard)
      await store.remove('b.safetensors')
    },
    kind: SafetensorsError,
    says: /expected 2 shards, got all but b\.safetensors/,
  },
  {
    title: 'a shard that is cut short',
    damage: async (store) => {
      await sharded(store, (_, shard) => shard)
      const whole = await bytes(store, 'b.safetensors')
      await store.write('b.safetensors', whole.slice(0, whole.length - 5))
    },
    kind: SafetensorsError,
    says: /b\.safetensors.*expected data up to byte \d+, got a file of \d+ bytes. The file is cut short/,
  },
  {
    title: 'weights that are no numbers',
    damage: async (store) => {
      const damaged = await bytes(store, single)
      new DataView(damaged.buffer, damaged.byteOffset).setFloat32(damaged.length - 4, Number.NaN, true)
      await store.write(single, damaged)
    },
    kind: RangeError,
    says: /'lm_head\.weight': expected finite weights, got NaN at element \d+/,
  },
  {
    title: 'a configuration of another width than the tensors',
    damage: (store) => config(store, { hidden_size: 10 }),
    kind: RangeError,
    says: /do not fit what config.json describes[\s\S]*'backbone.embeddings.weight': expected \[\d+, 10\], got \[\d+, \d+\]/,
  },
  {
    title: 'a configuration with a layer more than the tensors',
    damage: (store) => config(store, { num_hidden_layers: 3 }),
    kind: RangeError,
    says: /missing 'backbone.layers.2.mixer/,
  },
  {
    title: 'a configuration of a thousand million layers',
    damage: (store) => config(store, { num_hidden_layers: 1e9 }),
    kind: RangeError,
    says: /config.json, num_hidden_layers: expected a whole number up to \d+, the number of tensors, got 1000000000/,
  },
  {
    title: 'a configuration of a model that no machine holds',
    damage: (store) => config(store, { vocab_size: 2 ** 24, hidden_size: 2 ** 12 }),
    kind: RangeError,
    says: /config.json: expected at most \d+ elements of parameters, got \d+ and more/,
  },
  {
    title: 'a configuration with a width that is none',
    damage: (store) => config(store, { state_size: 1.5 }),
    kind: RangeError,
    says: /config.json: expected what 'mamba' can be built from, got: .*dState: expected a whole number from 1 to \d+, got 1.5/,
  },
  {
    title: 'a configuration that sets a prototype',
    damage: async (store) => {
      const text = new TextDecoder().decode(await bytes(store, 'config.json'))
      await store.write(
        'config.json',
        bytesOf(text.replace('"vocab_size"', '"__proto__": { "polluted": true }, "vocab_size_"')),
      )
    },
    kind: RangeError,
    says: /config.json vocab_size: expected a number, got nothing/,
  },
]

test.each(cases)('$title is refused by name, with nothing left behind', async ({ damage, kind, says }) => {
  const store = await published()
  await damage(store)
  const before = memory().numTensors
  const outcome: unknown = await fromPretrained(storeDirectory(store)).catch((error: unknown) => error)
  expect(outcome).toBeInstanceOf(kind)
  expect((outcome as Error).message).toMatch(says)
  expect(memory().numTensors).toBeLessThanOrEqual(before + 1)
  expect(({} as { polluted?: boolean }).polluted).toBeUndefined()
})
