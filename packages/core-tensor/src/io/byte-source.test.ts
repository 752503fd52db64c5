import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { blobSource, bytesSource, httpSource } from './byte-source.js'
import { readHeader, readTensor, writeSafetensors } from './safetensors.js'

const file = writeSafetensors({
  a: { shape: [3], values: Float32Array.of(1, 2, 3) },
  b: { shape: [], values: Int32Array.of(7) },
})
let server: Server | undefined
afterEach(() => server?.close())

async function serve(listener: RequestListener): Promise<string> {
  server = createServer(listener)
  await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/model.safetensors`
}

function ranged(bytes: Uint8Array, log: string[], tag: () => string = () => 'v1'): RequestListener {
  return (request, response) => {
    const [, begin, end] = (/^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? []).map(Number) as [
      number,
      number,
      number,
    ]
    log.push(`${begin}-${end}`)
    if (begin >= bytes.length) {
      response.writeHead(416, { 'content-range': `bytes */${bytes.length}` }).end()
      return
    }
    response
      .writeHead(206, { 'content-range': `bytes ${begin}-${end}/${bytes.length}`, etag: tag() })
      .end(bytes.subarray(begin, end + 1))
  }
}

test('over HTTP, only the ranges that are needed are asked for', async () => {
  const log: string[] = []
  const source = await httpSource(await serve(ranged(file, log)))
  if (source === null) throw new Error('expected a source')
  const header = await readHeader(source)
  expect((await readTensor(source, header, 'b')).values).toEqual(Int32Array.of(7))
  const { begin, end } = header.tensors.get('b') ?? { begin: 0, end: 0 }
  expect(log).toEqual(['0-0', '0-7', `8-${file.length - 17}`, `${begin}-${end - 1}`])
})

test('a server without ranges, a missing file, an empty one, and a failure', async () => {
  const whole = await httpSource(await serve((_, response) => response.end(file)))
  expect(whole?.size).toBe(file.length)
  server?.close()
  expect(await httpSource(await serve((_, response) => response.writeHead(404).end()))).toBeNull()
  server?.close()
  expect((await httpSource(await serve(ranged(new Uint8Array(0), []))))?.size).toBe(0)
  server?.close()
  const url = await serve((_, response) => response.writeHead(403).end())
  await expect(httpSource(url)).rejects.toThrow(/expected status 206, got 403 Forbidden/)
})

test('ranges that were read once come from the cache, and not where the file is another', async () => {
  const store = new Map<string, Response>()
  const cache = {
    match: async (key: unknown) => store.get(String(key))?.clone(),
    put: async (key: unknown, response: Response) => void store.set(String(key), response),
  }
  const log: string[] = []
  let version = 1
  const url = await serve(ranged(file, log, () => `v${version}`))
  const readAgain = async (): Promise<Uint8Array | undefined> => (await httpSource(url, { cache }))?.read(0, 16)
  expect(await readAgain()).toEqual(new Uint8Array(file.subarray(0, 16)))
  expect(await readAgain()).toEqual(new Uint8Array(file.subarray(0, 16)))
  expect(log).toEqual(['0-0', '0-15', '0-0'])
  version = 2
  await readAgain()
  expect(log.slice(3)).toEqual(['0-0', '0-15'])
  const full = { ...cache, put: () => Promise.reject(new Error('quota exceeded')) }
  expect(await (await httpSource(url, { cache: full }))?.read(2, 4)).toEqual(new Uint8Array(file.subarray(2, 4)))
})

test('a file that changes while it is read is noticed', async () => {
  let version = 1
  const source = await httpSource(await serve(ranged(file, [], () => `v${version}`)))
  version = 2
  await expect(source?.read(0, 8)).rejects.toThrow(/changed while it was read/)
})

test('bytes and blobs hand out memory of their own', async () => {
  for (const source of [bytesSource(file), blobSource(new Blob([file]))]) {
    const part = await source.read(0, 8)
    part.fill(255)
    expect(await source.read(0, 8)).toEqual(file.slice(0, 8))
    expect(source.size).toBe(file.length)
  }
})
