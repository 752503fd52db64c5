import { existsSync } from 'node:fs'
import { type Browser, type BrowserContext, type BrowserContextOptions, chromium, type Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll } from 'vitest'
import { serve } from '../server.mjs'

const executablePath = process.env.MNEME_CHROMIUM ?? '/usr/bin/chromium'

/** Whether there is a browser to test with. */
export const found = existsSync(executablePath)
if (!found) console.warn(`${executablePath}: no browser, so the playground is not tested. Set MNEME_CHROMIUM.`)

/** For whatever is awaited: a busy machine may take its time, and only what never comes is a failure. */
const patienceMs = 90_000

export interface Visit {
  readonly page: Page
  readonly context: BrowserContext
  /** What must stay empty: requests to others, and whatever the console or the policy complains of. */
  readonly complaints: string[]
}

export interface Browsing {
  /** A visitor who has never been here, at the part of the address after `#`. */
  visit(hash?: string, options?: BrowserContextOptions): Promise<Visit>
  readonly url: () => string
  readonly browser: () => Browser
}

/** One browser and one server for the tests of a file; each visit ends with its test. */
export function browsing(): Browsing {
  let server: Awaited<ReturnType<typeof serve>>
  let browser: Browser
  const open: BrowserContext[] = []
  beforeAll(async () => {
    if (!found) return
    server = await serve({ port: 0 })
    browser = await chromium.launch({
      executablePath,
      args: [
        '--no-sandbox',
        '--enable-unsafe-webgpu',
        '--use-webgpu-adapter=swiftshader',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
      ],
    })
  })
  afterEach(async () => {
    for (const context of open.splice(0)) await context.close()
  })
  afterAll(async () => {
    await browser?.close()
    await server?.close()
  })
  return {
    url: () => server.url,
    browser: () => browser,
    async visit(hash = '', options = {}) {
      // what is kept for offline use would only take time from other tests
      const context = await browser.newContext({
        viewport: { width: 1280, height: 900 },
        serviceWorkers: 'block',
        ...options,
      })
      context.setDefaultTimeout(patienceMs)
      open.push(context)
      const page = await context.newPage()
      const complaints: string[] = []
      page.on('request', (request) => {
        const own = request.url().startsWith(server.url) || request.url().startsWith('blob:')
        if (!own) complaints.push(`request to ${request.url()}`)
      })
      page.on('console', (message) => {
        const ours = !message.text().includes('blocked by Playwright')
        if (ours && ['error', 'warning'].includes(message.type())) complaints.push(message.text())
      })
      page.on('pageerror', (error) => complaints.push(error.message))
      await page.goto(`${server.url}/${hash === '' ? '' : `#${hash}`}`)
      return { page, context, complaints }
    },
  }
}

/** A model and task that train in moments: for all that is not about the model. */
export const small =
  'paper=min-rnn&config.dModel=16&config.nLayers=1&task=novel&train.steps=5000&train.length=32&train.lr=0.003'

export async function until(holds: () => Promise<boolean>, limitMs = patienceMs): Promise<void> {
  const end = performance.now() + limitMs
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`not so within ${limitMs} ms: ${holds}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
