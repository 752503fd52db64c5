import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { nodeDirectory } from '@mneme/core-tensor/io/node-store'
import { openCheckpoint, writeCheckpoint } from '@mneme/core-tensor/io/sharded'
import { memoryStore, storeDirectory } from '@mneme/core-tensor/io/store'
import { read, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { tensor2d } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { fromPretrained, type Pretrained } from './pretrained.js'

const folder = fileURLToPath(new URL('../../../fixtures/goldens/hf-llama', import.meta.url))
const bytesOf = (name: string): Buffer => readFileSync(`${folder}/${name}`)

async function scores({ model }: Pretrained): Promise<Float32Array> {
  const values = await read(model.forward(tensor2d([[1, 2, 3, 4]], [1, 4], 'int32')).y)
  model.dispose()
  return values
}

describe('a checkpoint is loaded', () => {
  test('from an address, in ranges of its file and no more than all of it', async () => {
    let sent = 0
    const server = createServer((request, response) => {
      const name = request.url?.slice('/models/llama/'.length) ?? ''
      if (!['config.json', 'model.safetensors'].includes(name)) return void response.writeHead(404).end()
      const bytes = bytesOf(name)
      const [, begin, end] = (/^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? []).map(Number)
      const piece = bytes.subarray(begin, (end as number) + 1)
      if (name === 'model.safetensors') sent += piece.length
      response.writeHead(206, { 'content-range': `bytes ${begin}-${end}/${bytes.length}`, etag: 'v1' }).end(piece)
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/models/llama/`
    try {
      await within(async () => {
        const expected = await scores(await fromPretrained(nodeDirectory(folder)))
        expect(await scores(await fromPretrained(address))).toEqual(expected)
        expect(sent).toBeLessThanOrEqual(bytesOf('model.safetensors').length + 16)
        await expect(fromPretrained(new URL('../nothing', address))).rejects.toThrow(/nothing: expected config\.json/)
      })
    } finally {
      server.close()
    }
  })

  test('from chosen files', async () => {
    await within(async () => {
      const files = ['config.json', 'model.safetensors'].map((name) => new File([new Uint8Array(bytesOf(name))], name))
      const expected = await scores(await fromPretrained(nodeDirectory(folder)))
      expect(await scores(await fromPretrained(files))).toEqual(expected)
      await expect(fromPretrained(files.slice(1))).rejects.toThrow(/expected config\.json, got no such file/)
    })
  })

  test.each([
    ['F16', 2e-2],
    ['BF16', 1e-1],
  ] as const)('whose weights are %s on disk, widened', async (dtype, limit) => {
    await within(async () => {
      const { model, published } = await fromPretrained(nodeDirectory(folder))
      const checkpoint = await openCheckpoint(nodeDirectory(folder))
      const tensors = new Map<string, { dtype: typeof dtype; shape: readonly number[]; values: Float32Array }>()
      for (const name of checkpoint.entries.keys()) {
        const { shape, values } = await checkpoint.read(name)
        tensors.set(name, { dtype, shape, values: values as Float32Array })
      }
      const store = memoryStore()
      await writeCheckpoint(store, tensors)
      await store.write('config.json', new TextEncoder().encode(JSON.stringify(published)))
      const narrow = await scores(await fromPretrained(storeDirectory(store)))
      const wide = await read(model.forward(tensor2d([[1, 2, 3, 4]], [1, 4], 'int32')).y)
      expect(narrow).not.toEqual(wide)
      expectClose(narrow, wide, limit, 'scores')
      model.dispose()
    })
  })
})
