import { rmSync } from 'node:fs'
import { afterAll, describe, expect, test } from 'vitest'
import { blocksOf, documents, isForWebGPU, scratch, written } from './blocks.js'
import { runTypeScript, runWithDevice } from './runners.js'

const parent = scratch('webgpu')
afterAll(() => rmSync(parent, { recursive: true }))

describe('code in documents that needs a device', () => {
  const found = documents.flatMap((document) => blocksOf(document).filter(isForWebGPU))
  test('there is some', () => expect(found.length).toBeGreaterThanOrEqual(3))

  for (const document of new Set(found.map((block) => block.document))) {
    const blocks = blocksOf(document)
    const folder = written(parent, document, blocks)
    for (const block of blocks.filter(isForWebGPU)) {
      if (/^describe\w*\(/m.test(block.code)) describe(`${block.title}: holds`, () => runTypeScript(folder, block))
      else test(`${block.title}: runs`, async () => void (await runWithDevice(folder, block)))
    }
  }
})
