import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { nodeDirectory } from './node-store.js'
import { parseSafetensors, SafetensorsError, writeSafetensors } from './safetensors.js'
import { indexFile, openCheckpoint, parseShardIndex, writeCheckpoint } from './sharded.js'
import { type CheckpointStore, memoryStore, storeDirectory } from './store.js'

const tensors = Object.fromEntries(
  ['a', 'b', 'c', 'd', '__proto__x'].map((name, i) => [
    name,
    { shape: [2, 2], values: Float32Array.of(i, i + 0.5, -i, 1), dtype: 'BF16' as const },
  ]),
)
const text = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value))
const file = (...names: string[]): Uint8Array =>
  writeSafetensors(Object.fromEntries(names.map((n) => [n, { shape: [1], values: Float32Array.of(1) }])))

async function storeOf(files: Record<string, Uint8Array>): Promise<CheckpointStore> {
  const store = memoryStore()
  for (const [name, bytes] of Object.entries(files)) await store.write(name, bytes)
  return store
}

test('what is written in shards is opened from them, in the names of transformers', async () => {
  const store = memoryStore()
  await writeCheckpoint(store, tensors, { maxShardBytes: 17 })
  expect(await store.list()).toEqual([
    'model-00001-of-00003.safetensors',
    'model-00002-of-00003.safetensors',
    'model-00003-of-00003.safetensors',
    indexFile,
  ])
  const checkpoint = await openCheckpoint(storeDirectory(store))
  expect([...checkpoint.entries.keys()]).toEqual(Object.keys(tensors))
  for (const [name, { shape, dtype, values }] of Object.entries(tensors)) {
    expect(await checkpoint.read(name)).toEqual({ shape, dtype, values })
  }
  expect(checkpoint.metadata.get('format')).toBe('pt')
  const index = parseShardIndex(new TextDecoder().decode((await store.read(indexFile)) ?? undefined))
  expect(index.totalSize).toBe(5 * 8)
  await expect(checkpoint.read('e')).rejects.toThrow(/'e': expected one of 5 tensors/)
})

test('a later write leaves nothing of an earlier one', async () => {
  const store = await storeOf({ 'config.json': text({}) })
  const single = ['config.json', 'model.safetensors']
  const two = ['config.json', 'model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors', indexFile]
  for (const [limit, names] of [
    [1000, single],
    [32, two],
    [24, two],
    [1000, single],
  ] as const) {
    await writeCheckpoint(store, tensors, { maxShardBytes: limit })
    expect(await store.list()).toEqual(names)
    expect((await openCheckpoint(storeDirectory(store))).entries.size).toBe(5)
  }
})

test.each([0, 1, 2, 3, 4, 5, 6])('a crash after %i steps of a write never leaves a mixture', async (steps) => {
  for (const [before, after] of [
    [1000, 16],
    [16, 1000],
    [16, 16],
    [16, 24],
  ] as const) {
    const store = memoryStore()
    await writeCheckpoint(store, tensors, { maxShardBytes: before })
    let left = steps
    const step = async (f: () => Promise<void>): Promise<void> => {
      if (left-- <= 0) throw new Error('crash')
      await f()
    }
    const failing = {
      ...store,
      write: (n: string, b: Uint8Array) => step(() => store.write(n, b)),
      remove: (n: string) => step(() => store.remove(n)),
    }
    const changed = Object.fromEntries(
      Object.entries(tensors).map(([n, t]) => [n, { ...t, values: t.values.map((v) => v + 8) }]),
    )
    await writeCheckpoint(failing, changed, { maxShardBytes: after }).catch(() => undefined)
    const checkpoint = await openCheckpoint(storeDirectory(store)).catch((error: unknown) => {
      expect(error).toBeInstanceOf(SafetensorsError)
      return null
    })
    if (checkpoint === null) continue
    const first = await Promise.all(
      Object.keys(tensors).map(async (n, i) => ((await checkpoint.read(n)).values[0] as number) - i),
    )
    expect(new Set(first).size, `${before} to ${after}`).toBe(1)
  }
})

test('missing shards and tensors are all named', async () => {
  const map = { a: 's1.safetensors', b: 's2.safetensors', c: 's3.safetensors', d: 's3.safetensors' }
  const some = await storeOf({ [indexFile]: text({ weight_map: map }), 's2.safetensors': file('b') })
  await expect(openCheckpoint(storeDirectory(some, 'gla'))).rejects.toThrow(
    'gla: expected 3 shards, got all but s1.safetensors, s3.safetensors. Fetch what is missing.',
  )
  await some.write('s1.safetensors', file('a'))
  await some.write('s3.safetensors', file('x'))
  await expect(openCheckpoint(storeDirectory(some))).rejects.toThrow(
    /got no 'c' in s3.safetensors, no 'd' in s3.safetensors/,
  )
  await expect(openCheckpoint(storeDirectory(memoryStore()))).rejects.toThrow(/got neither/)
})

test.each([
  '../a.safetensors',
  'x/../../a',
  'sub/a.safetensors',
  'sub\\a',
  '/etc/passwd',
  '..',
  '',
  'C:a',
  '.hidden',
  'a\u0000b',
  7,
  null,
])('shard name %j is refused', (name) => {
  expect(() => parseShardIndex(JSON.stringify({ weight_map: { w: name } }))).toThrow(SafetensorsError)
  expect(() => parseShardIndex(JSON.stringify({ weight_map: { w: name } }))).toThrow(/tensor 'w'/)
})

test('an index that is none', () => {
  for (const broken of ['', '[]', '{}', '{"weight_map":[]}', '{"weight_map":{"a":"x","a":"y"}}']) {
    expect(() => parseShardIndex(broken), broken).toThrow(SafetensorsError)
  }
})

const goldens = process.env.MNEME_GOLDENS
if (!goldens) console.warn('MNEME_GOLDENS is not set: the sharded golden checkpoint is not read.')
test.runIf(goldens)('the golden shards and their bf16 copy hold the same model', async () => {
  const folder = `${goldens}/format-safetensors`
  const checkpoint = await openCheckpoint(nodeDirectory(folder))
  const { tensors: halves } = parseSafetensors(new Uint8Array(readFileSync(`${folder}/model-bf16.safetensors`)))
  expect([...checkpoint.entries.keys()].sort()).toEqual([...halves.keys()].sort())
  for (const name of checkpoint.entries.keys()) {
    const full = await checkpoint.read(name)
    const rounded = parseSafetensors(writeSafetensors({ [name]: { ...full, dtype: 'BF16' } })).tensors.get(name)
    expect(rounded, name).toEqual(halves.get(name))
  }
})
