#!/usr/bin/env node
import { existsSync } from 'node:fs'
import { createServer } from 'node:http'
import { fileURLToPath } from 'node:url'
import sirv from 'sirv'
import { headerPolicy } from './policy.mjs'

const dist = fileURLToPath(new URL('./dist', import.meta.url))

const headers = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Content-Security-Policy': headerPolicy,
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
}

/**
 * @param {import('node:http').Server} server
 * @param {number} port
 * @returns {Promise<boolean>} false if the port is taken
 */
function listen(server, port) {
  return new Promise((resolve, reject) => {
    /** @param {NodeJS.ErrnoException} error */
    const refuse = (error) => (error.code === 'EADDRINUSE' ? resolve(false) : reject(error))
    server.once('error', refuse)
    server.listen(port, '127.0.0.1', () => {
      server.off('error', refuse)
      resolve(true)
    })
  })
}

/**
 * Assets have their content in their name; everything else is asked for again, the service worker above all.
 *
 * @param {import('node:http').ServerResponse} response
 * @param {string} path
 */
function keep(response, path) {
  const hashed = path.startsWith('/assets/')
  response.setHeader('Cache-Control', hashed ? 'public, max-age=31536000, immutable' : 'no-cache')
}

/**
 * Serves the built playground to this machine only, on the port or the next one that is free; port 0 takes any.
 *
 * @param {{ port?: number, root?: string }} [options]
 * @returns {Promise<{ url: string, port: number, close: () => Promise<void> }>}
 */
export async function serve({ port = 4173, root = dist } = {}) {
  if (!existsSync(root))
    throw new Error(`serve: expected a build in ${root}, found none. Run npm run build -w apps/playground.`)
  const files = sirv(root, { etag: true, dev: false, setHeaders: keep })
  const server = createServer((request, response) => {
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
    files(request, response, () => {
      response.writeHead(404, { 'Content-Type': 'text/plain' }).end('Not found\n')
    })
  })
  const last = port === 0 ? 0 : port + 50
  let at = port
  while (!(await listen(server, at))) {
    if (++at > last)
      throw new Error(`serve: expected a free port from ${port} to ${last}, found none. Give another port.`)
  }
  const address = server.address()
  const taken = typeof address === 'object' && address !== null ? address.port : at
  return {
    url: `http://localhost:${taken}`,
    port: taken,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    const { url, close } = await serve({ port: Number(process.env.PORT ?? 4173) })
    console.log(url)
    for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => close().then(() => process.exit(0)))
  } catch (error) {
    console.error(error instanceof Error ? error.message : error)
    process.exitCode = 1
  }
}
