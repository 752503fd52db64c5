import { existsSync, readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Browser, chromium, type Page } from 'playwright-core'
import ts from 'typescript'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { browserStore as BrowserStore } from './browser-store.js'

/** In the page; the functions given to `evaluate` run there. */
declare const browserStore: typeof BrowserStore

const executablePath = process.env.MNEME_CHROMIUM ?? '/usr/bin/chromium'
const found = existsSync(executablePath)
if (!found) console.warn(`${executablePath}: no browser, so browserStore is not tested. Set MNEME_CHROMIUM.`)

const html = `<!doctype html><script type="module">
import { browserStore } from '/browser-store.js'
Object.assign(globalThis, { browserStore })
</script>`

let server: Server
let browser: Browser
let page: Page

/** This folder's sources, each as JavaScript: enough for a module without dependencies. */
function startServer(): Promise<Server> {
  const compilerOptions = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext }
  const listening = createServer((request, response) => {
    const source = new URL(`.${(request.url ?? '').replace(/\.js$/, '.ts')}`, import.meta.url)
    if (!existsSync(source) || !source.pathname.endsWith('.ts')) {
      response.writeHead(200, { 'content-type': 'text/html' }).end(html)
      return
    }
    const { outputText } = ts.transpileModule(readFileSync(source, 'utf8'), { compilerOptions })
    response.writeHead(200, { 'content-type': 'text/javascript' }).end(outputText)
  })
  return new Promise((resolve) => {
    listening.listen(0, '127.0.0.1', () => resolve(listening))
  })
}

beforeAll(async () => {
  if (!found) return
  server = await startServer()
  browser = await chromium.launch({
    executablePath,
    args: ['--no-sandbox', '--disable-quic', '--disable-background-networking'],
  })
  page = await browser.newPage()
  await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)
})
afterAll(async () => {
  await browser?.close()
  server?.close()
})

describe.runIf(found).each(['private file system', 'database'])('browserStore in the %s', (kind) => {
  test('reads back what was written, replaces, lists and removes, also for the next visitor', async () => {
    const seen = await page.evaluate(async (database) => {
      const given = database ? { indexedDB } : { storage: navigator.storage }
      const store = await browserStore('laws', given)
      const empty = [await store.list(), await store.read('a')]
      await store.write('b', Uint8Array.of(1, 2, 3))
      await store.write('a', new Uint8Array(100_000).fill(7).subarray(10, 90_010))
      await store.write('b', Uint8Array.of(4))
      await Promise.all([5, 6].map((n) => store.write('c', new Uint8Array(20_000).fill(n))))
      const again = await browserStore('laws', given)
      const names = await again.list()
      const [a, b, c] = await Promise.all(['a', 'b', 'c'].map((name) => again.read(name)))
      await again.remove('a')
      await again.remove('a')
      const other = await (await browserStore('other', given)).list()
      const left = await store.list()
      for (const name of left) await store.remove(name)
      const sizes = [a?.length, new Set(a).size, c?.length, new Set(c).size]
      return { empty, names, b: [...(b ?? [])], sizes, left, other }
    }, kind === 'database')
    expect(seen).toEqual({
      empty: [[], null],
      names: ['a', 'b', 'c'],
      b: [4],
      sizes: [90_000, 1, 20_000, 1],
      left: ['b', 'c'],
      other: [],
    })
  })
})

describe.runIf(found)('browserStore', () => {
  test('refuses names that leave the folder, and a browser that keeps nothing', async () => {
    const messages = await page.evaluate(async () => {
      const store = await browserStore('laws')
      const message = (error: Error): string => error.message
      return [
        await store.write('../x', new Uint8Array(1)).then(String, message),
        await browserStore('x', {}).then(String, message),
      ]
    })
    expect(messages[0]).toMatch(/expected a plain file name, got "..\/x"/)
    expect(messages[1]).toMatch(/got neither. Use memoryStore/)
  })

  test('a write that fails leaves the old file and no temporary one', async () => {
    const seen = await page.evaluate(async () => {
      const store = await browserStore('failing')
      await store.write('a', Uint8Array.of(1))
      const prototype = FileSystemWritableFileStream.prototype as unknown as Record<string, unknown>
      const { write } = prototype
      prototype.write = () => Promise.reject(new DOMException('full', 'QuotaExceededError'))
      const message = await store.write('a', Uint8Array.of(2)).then(String, (error: Error) => error.message)
      prototype.write = write
      const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle('failing')
      const names: string[] = []
      for await (const [name] of folder.entries()) names.push(name)
      return { message, names, a: [...((await store.read('a')) ?? [])] }
    })
    expect(seen).toEqual({
      message: 'browserStore.write: could not write a, which is as it was: full. Is there space left?',
      names: ['a'],
      a: [1],
    })
  })
})
