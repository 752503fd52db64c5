import { type BaseConfig, withDefaults } from '@mneme/core-tensor'
import { formatConfigJson, parseConfigJson } from '@mneme/core-tensor/io/json'
import { memoryStore, storeDirectory } from '@mneme/core-tensor/io/store'
import { read, within } from '@mneme/testing/subject'
import { tensor2d } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { fromPretrained, savePretrained } from './pretrained.js'
import { type AnyPaper, loadPaper, paperKeys, publishedTypes } from './registry.js'

/** A paper's small configurations that have a published form, by name. */
async function published(key: string): Promise<(readonly [string, AnyPaper, BaseConfig])[]> {
  const paper = await loadPaper(key)
  const { moreTiny = {} }: { moreTiny?: Readonly<Record<string, BaseConfig>> } = await import(`./${key}.ts`)
  return Object.entries({ tiny: paper.tiny, ...moreTiny })
    .filter(([, config]) => paper.checkpoint && paper.checkpoint.covers?.(config) !== false)
    .map(([name, config]) => [`${key}: ${name}`, paper, config])
}

const cases = (await Promise.all(paperKeys.map(published))).flat()

describe.each(cases)('%s', (_, paper, tiny) => {
  // what only decides the starting weights is not part of a published model
  const config = paper.checkpoint?.config({ ...paper.checkpoint.publish(tiny) }) ?? tiny

  test('saved in the published layout and loaded again, the model is the same, and unknown keys are kept', async () => {
    await within(async () => {
      const store = memoryStore()
      const model = paper.build(config)
      const ids = tensor2d([[1, 2, 3, 4, 5, 6, 7]], [1, 7], 'int32')
      const expected = await read(model.forward(ids).y)
      await savePretrained(store, { model, paper, config, published: { made_by: 'someone' } })
      const loaded = await fromPretrained(storeDirectory(store))
      expect(loaded.paper.card.key).toBe(paper.card.key)
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
      await expect(fromPretrained(storeDirectory(store))).rejects.toThrow(/expected \[\d+, \d+\], got \[\d+, \d+\]/)
      model.dispose()
    })
  })
})

test('published types name papers that read them', async () => {
  for (const [type, key] of Object.entries(publishedTypes)) {
    expect((await loadPaper(key)).checkpoint?.modelTypes).toContain(type)
  }
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
