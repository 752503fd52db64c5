import { parseSafetensors } from '@mneme/core-tensor/io/safetensors'
import { openCheckpoint, parseShardIndex, writeCheckpoint } from '@mneme/core-tensor/io/sharded'
import { type CheckpointStore, memoryStore, storeDirectory } from '@mneme/core-tensor/io/store'
import { loadPaper, publishedTypes } from '@mneme/models'
import { fromPretrained, savePretrained } from '@mneme/models/pretrained'
import { moreTiny } from '@mneme/models/titans'
import { loadTask, trainBytePairs } from '@mneme/tasks'
import { pretrainedTokenizer } from '@mneme/tasks/pretrained-tokenizer'
import { type Catalogue, loadRun, Run, resolveExperiment, saveRun } from '@mneme/training'
import { memory } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { bytesOf, type Json, Mutator } from './mutations'
import { corpus } from './verdicts'

const textOf = async (store: CheckpointStore, name: string): Promise<string> =>
  new TextDecoder().decode((await store.read(name)) ?? new Uint8Array())

/** A copy of a store in which one file is another. */
async function withFile(store: CheckpointStore, name: string, bytes: Uint8Array): Promise<CheckpointStore> {
  const copy = memoryStore()
  for (const file of await store.list()) await copy.write(file, (await store.read(file)) ?? new Uint8Array())
  await copy.write(name, bytes)
  return copy
}

/** Papers with checkpoints in a form of their authors; of Titans the port has one. */
const withCheckpoints = [...new Set(Object.values(publishedTypes))]

async function published(key: string): Promise<CheckpointStore> {
  const paper = await loadPaper(key)
  const store = memoryStore()
  const layout = paper.checkpoint
  const tiny = key === 'titans' ? (moreTiny['mac-port'] ?? paper.tiny) : paper.tiny
  // what a published file says of it, so that all of the configuration has a published form
  const config = layout?.config({ ...layout.publish(tiny) }) ?? tiny
  const model = paper.build(config)
  await savePretrained(store, { model, paper, config })
  model.dispose()
  return store
}

describe('a damaged file is read, or refused by an error that names the fault', () => {
  test('model.safetensors: 1,200', async () => {
    const store = await published('min-rnn')
    const whole = (await store.read('model.safetensors')) ?? new Uint8Array()
    const { refused } = await corpus('safetensors', 1200, (seed) => parseSafetensors(new Mutator(seed).bytes(whole)))
    expect(refused).toBeGreaterThan(800)
  })

  test('model.safetensors.index.json: 1,500', async () => {
    const store = memoryStore()
    const tensor = (n: number) => ({ dtype: 'F32' as const, shape: [n], values: new Float32Array(n) })
    await writeCheckpoint(store, { a: tensor(4), b: tensor(8), c: tensor(16) }, { maxShardBytes: 40 })
    const text = await textOf(store, 'model.safetensors.index.json')
    const { refused } = await corpus('index', 1500, async (seed) => {
      const mutator = new Mutator(seed)
      const json = (): string => JSON.stringify(mutator.json(JSON.parse(text) as Json))
      const damaged = mutator.int(2) === 0 ? mutator.text(text) : json()
      parseShardIndex(damaged)
      await openCheckpoint(storeDirectory(await withFile(store, 'model.safetensors.index.json', bytesOf(damaged))))
    })
    expect(refused).toBeGreaterThan(300)
  })

  test.each(withCheckpoints)('config.json of %s: 100', async (key) => {
    const store = await published(key)
    const text = await textOf(store, 'config.json')
    const tensors = memory().numTensors
    const { refused } = await corpus('config.json', 100, async (seed) => {
      const mutator = new Mutator(seed)
      const json = (): string => JSON.stringify(mutator.json(JSON.parse(text) as Json))
      const damaged = mutator.int(4) === 0 ? mutator.text(text) : json()
      const { model } = await fromPretrained(storeDirectory(await withFile(store, 'config.json', bytesOf(damaged))))
      model.dispose()
    })
    expect(refused).toBeGreaterThan(20)
    expect(memory().numTensors).toBe(tensors)
  })

  test('tokenizer.json: 800', async () => {
    const tokenizer = trainBytePairs('call me ishmael, call me whale. '.repeat(20), 280)
    const whole = JSON.parse(JSON.stringify(tokenizer)) as Json
    const { refused } = await corpus('tokenizer.json', 800, async (seed) => {
      const mutator = new Mutator(seed)
      const text = mutator.int(3) === 0 ? mutator.text(JSON.stringify(whole)) : JSON.stringify(mutator.json(whole))
      const store = memoryStore()
      await store.write('tokenizer.json', bytesOf(text))
      await pretrainedTokenizer(storeDirectory(store))
    })
    expect(refused).toBeGreaterThan(200)
  })

  test('run.safetensors: 300', async () => {
    const catalogue: Catalogue = { loadPaper, loadTask: loadTask as Catalogue['loadTask'] }
    const experiment = { config: { dModel: 4, nLayers: 1, ffMult: 1 }, task: 'copying', taskConfig: { length: 20 } }
    const run = await Run.create(await resolveExperiment({ ...experiment, train: { steps: 1, batch: 1 } }, catalogue))
    const store = memoryStore()
    await saveRun(store, await run.snapshot())
    const whole = (await store.read('run.safetensors')) ?? new Uint8Array()
    const { refused } = await corpus('run.safetensors', 300, async (seed) => {
      await store.write('run.safetensors', new Mutator(seed).bytes(whole))
      const saved = await loadRun(store)
      if (saved !== null) run.restore(saved)
    })
    run.dispose()
    expect(refused).toBeGreaterThan(150)
  })
})
