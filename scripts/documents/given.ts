import { cpSync, createReadStream, existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join, normalize } from 'node:path'
import { nodeStore } from '@mneme/core-tensor/io/node-store'
import { loadPaper } from '@mneme/models'
import { savePretrained } from '@mneme/models/pretrained'
import { novelText, trainBytePairs } from '@mneme/tasks'
import { root } from './blocks.js'

/** What the reader of a document has at hand before its first block, made small. */
export const given: Readonly<Record<string, (folder: string) => void | Promise<void>>> = {
  'docs/guides/train-on-your-own-text.md': async (folder) => {
    writeFileSync(join(folder, 'book.txt'), await novelText('validation', 16))
  },
  'docs/guides/load-a-published-checkpoint.md': async (folder) => {
    const at = join(folder, 'models', 'mamba-130m')
    mkdirSync(at, { recursive: true })
    const tokenizer = trainBytePairs(await novelText('validation', 16), 300)
    writeFileSync(join(at, 'tokenizer.json'), JSON.stringify(tokenizer))
    const paper = await loadPaper('mamba')
    const config = { ...paper.tiny, vocabulary: tokenizer.size }
    const model = paper.build(config)
    await savePretrained(nodeStore(at), { model, paper, config })
    model.dispose()
  },
  'packages/cli/README.md': (folder) =>
    cpSync(join(root, 'docs/claims'), join(folder, 'docs/claims'), { recursive: true }),
}

/** Serves the files below a folder on loopback, by ranges where they are asked for, as a hub does. */
export async function served(folder: string): Promise<{ readonly port: number; close(): void }> {
  const server = createServer((request, response) => {
    const path = join(folder, normalize(decodeURIComponent(request.url ?? '/')))
    if (!existsSync(path) || !statSync(path).isFile()) return response.writeHead(404).end()
    const { size } = statSync(path)
    const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? []
    const [start, end] = [Number(from ?? 0), Math.min(Number(to || size - 1), size - 1)]
    const headers = { 'Accept-Ranges': 'bytes', 'Content-Length': end - start + 1 }
    response.writeHead(
      from === undefined ? 200 : 206,
      from === undefined ? headers : { ...headers, 'Content-Range': `bytes ${start}-${end}/${size}` },
    )
    if (request.method === 'HEAD') return response.end()
    return createReadStream(path, { start, end }).pipe(response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { port: (server.address() as AddressInfo).port, close: () => server.close() }
}
