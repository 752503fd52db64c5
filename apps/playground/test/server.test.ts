import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { serve } from '../server.mjs'

const around = mkdtempSync(join(tmpdir(), 'mneme-served-'))
const root = join(around, 'dist')
mkdirSync(join(root, 'assets'), { recursive: true })
writeFileSync(join(root, 'index.html'), '<!doctype html><title>page</title>')
writeFileSync(join(root, 'assets', 'page-1a2b.js'), 'export {}\n')
writeFileSync(join(around, 'outside.txt'), 'not to be had')
afterAll(() => rmSync(around, { recursive: true }))

/** Whether something listens there. */
const answers = (host: string, port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ host, port, timeout: 2000 })
    const end = (found: boolean) => () => {
      socket.destroy()
      resolve(found)
    }
    socket.once('connect', end(true)).once('error', end(false)).once('timeout', end(false))
  })

describe('the server of the playground', () => {
  let served: Awaited<ReturnType<typeof serve>>
  beforeAll(async () => {
    served = await serve({ port: 0, root })
  })
  afterAll(() => served.close())

  test('listens on loopback, and on no other address of the machine', async () => {
    expect(await answers('127.0.0.1', served.port)).toBe(true)
    // a server of all interfaces would answer on any address of the loopback network too
    expect(await answers('127.0.0.2', served.port)).toBe(false)
  })

  test.each(['/', '/assets/page-1a2b.js', '/nothing-there'])('sends its security headers with %s', async (path) => {
    const { headers } = await fetch(`http://127.0.0.1:${served.port}${path}`)
    expect(Object.fromEntries(headers)).toMatchObject({
      'content-security-policy': expect.stringMatching(
        /^default-src 'self';.*object-src 'none'.*frame-ancestors 'none'$/,
      ),
      'cross-origin-embedder-policy': 'require-corp',
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-resource-policy': 'same-origin',
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
    })
    expect(headers.get('content-security-policy')).not.toMatch(/'unsafe-(inline|eval)'/)
  })

  test('gives files of its folder alone', async () => {
    const given = async (path: string) => (await fetch(`http://127.0.0.1:${served.port}${path}`)).status
    expect(await given('/assets/page-1a2b.js')).toBe(200)
    for (const path of ['/..%2foutside.txt', '/%2e%2e/outside.txt', '/assets/..%2f..%2foutside.txt']) {
      expect(await given(path), path).toBe(404)
    }
  })
})

test('started as npm start does, it says where it is, and ends when told to', async () => {
  const server = spawn('node', [fileURLToPath(new URL('../server.mjs', import.meta.url))], {
    env: { ...process.env, PORT: '0' },
  })
  const ended = new Promise((resolve) => server.once('exit', resolve))
  expect((await fetch(await firstLine(server))).status).toBe(200)
  server.kill('SIGTERM')
  expect(await ended).toBe(0)
})

function firstLine(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    child.stdout?.once('data', (text: Buffer) => resolve(String(text).trim()))
    child.stderr?.once('data', (text: Buffer) => reject(new Error(String(text))))
  })
}
