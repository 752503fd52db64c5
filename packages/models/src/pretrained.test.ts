import { storedNames, toStored, withDefaults } from '@mneme/core-tensor'
import { formatConfigJson, parseConfigJson } from '@mneme/core-tensor/io/json'
import { writeCheckpoint } from '@mneme/core-tensor/io/sharded'
import { memoryStore, storeDirectory } from '@mneme/core-tensor/io/store'
import { smallForms } from '@mneme/testing/small-forms'
import { read, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { tensor2d } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { fromPretrained, savePretrained } from './pretrained.js'
import { loadPaper, paperKeys, publishedTypes } from './registry.js'

const cases = (await smallForms(paperKeys, (key) => import(`./${key}.ts`))).flatMap(({ name, paper }) =>
  paper.checkpoint && paper.checkpoint.covers?.(paper.tiny) !== false ? [[name, paper] as const] : [],
)

describe.each(cases)('%s', (name, paper) => {
  // what only decides the starting weights is not part of a published model
  const config = paper.checkpoint?.config({ ...paper.checkpoint.publish(paper.tiny) }) ?? paper.tiny
  // what reads the checkpoints of another paper is asked for by name
  const [key] = name.split(':') as [string]
  const options = Object.values<string>(publishedTypes).includes(key) ? {} : { paper: key }

  test('saved in the published layout and loaded again, the model is the same, and unknown keys are kept', async () => {
    await within(async () => {
      const store = memoryStore()
      const model = paper.build(config)
      const ids = tensor2d([[1, 2, 3, 4, 5, 6, 7]], [1, 7], 'int32')
      const expected = await read(model.forward(ids).y)
      await savePretrained(store, { model, paper, config, published: { made_by: 'someone' } })
      const loaded = await fromPretrained(storeDirectory(store), options)
      expect(loaded.paper.card.key).toBe(key)
      expect(loaded.published.made_by).toBe('someone')
      expect(await read(loaded.model.forward(ids).y)).toEqual(expected)
      model.dispose()
      loaded.model.dispose()
    })
  })

  test('every problem of a folder is listed by name, and nothing is built from it', async () => {
    await within(async () => {
      const store = memoryStore()
      const model = paper.build(config)
      await savePretrained(store, { model, paper, config })
      const text = new TextDecoder().decode((await store.read('config.json')) ?? new Uint8Array())
      const wider = paper.checkpoint?.publish(withDefaults('test', config, { vocabulary: config.vocabulary + 1 }))
      const mended = formatConfigJson({ ...parseConfigJson(text, 'config.json'), ...wider })
      await store.write('config.json', new TextEncoder().encode(mended))
      await expect(fromPretrained(storeDirectory(store), options)).rejects.toThrow(
        /expected \[\d+, \d+\], got \[\d+, \d+\]/,
      )
      model.dispose()
    })
  })
})

test("GPT-2's first files, which leave out a prefix and hold the causal mask, are read as they are", async () => {
  await within(async () => {
    const paper = await loadPaper('transformer')
    const layout = paper.checkpoint as NonNullable<typeof paper.checkpoint>
    const published = { model_type: 'gpt2', vocab_size: 11, n_embd: 4, n_layer: 2, n_head: 2, n_positions: 8 }
    const config = layout.config(published)
    const model = paper.build(config)
    const dict = await model.stateDict()
    const stored = toStored(dict, storedNames(Object.keys(dict), layout.names(config)))
    const tensors = new Map(
      Array.from(stored, ([name, tensor]) => [
        name.replace(/^transformer\./, ''),
        { dtype: 'F32' as const, ...tensor },
      ]),
    )
    tensors.set('h.0.attn.bias', { dtype: 'F32', shape: [1], values: new Float32Array(1) })
    const store = memoryStore()
    await writeCheckpoint(store, tensors)
    await store.write('config.json', new TextEncoder().encode(formatConfigJson(published)))
    const loaded = await fromPretrained(storeDirectory(store))
    const ids = tensor2d([[1, 2, 3, 4]], [1, 4], 'int32')
    expect(await read(loaded.model.forward(ids).y)).toEqual(await read(model.forward(ids).y))
    model.dispose()
    loaded.model.dispose()
  })
})

test('published types name papers that read them', async () => {
  for (const [type, key] of Object.entries(publishedTypes)) {
    expect((await loadPaper(key)).checkpoint?.modelTypes).toContain(type)
  }
})

test('a checkpoint is read as another paper, with other settings, where that is asked for', async () => {
  await within(async () => {
    const store = memoryStore()
    const paper = await loadPaper('transformer')
    const model = paper.build(paper.tiny)
    await savePretrained(store, { model, paper, config: paper.tiny })
    const directory = storeDirectory(store, 'folder')
    const loaded = await fromPretrained(directory, { paper: 'tova', config: { capacity: 3 } })
    const ids = tensor2d([[1, 2, 3, 4, 5, 6, 7]], [1, 7], 'int32')
    const [all, bounded] = [await read(model.forward(ids).y), await read(loaded.model.forward(ids).y)]
    const known = 4 * model.vocabulary
    expectClose(bounded.slice(0, known), all.slice(0, known), 1e-5, 'scores of the first four tokens')
    expect(bounded).not.toEqual(all)
    await expect(fromPretrained(directory, { paper: 'mamba' })).rejects.toThrow(
      "folder/config.json: 'mamba' reads mamba, got 'llama'.",
    )
    await expect(fromPretrained(directory, { paper: 'tova', config: { capcity: 3 } })).rejects.toThrow(
      "no such key 'capcity'. Did you mean 'capacity'?",
    )
    model.dispose()
    loaded.model.dispose()
  })
})

test('a folder that is no checkpoint says so', async () => {
  const store = memoryStore()
  await expect(fromPretrained(storeDirectory(store, 'empty'))).rejects.toThrow(
    'empty: expected config.json, got no such file',
  )
  await store.write('config.json', new TextEncoder().encode('{"model_type": "lama"}'))
  await expect(fromPretrained(storeDirectory(store))).rejects.toThrow(
    "no such model_type 'lama'. Did you mean 'llama'?",
  )
})
