import { existsSync } from 'node:fs'
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { serve } from '../server.mjs'

const executablePath = process.env.MNEME_CHROMIUM ?? '/usr/bin/chromium'
const found = existsSync(executablePath)
if (!found) console.warn(`${executablePath}: no browser, so the playground is not tested. Set MNEME_CHROMIUM.`)

/** Trains in moments: for all that is not about the model. */
const small =
  'paper=min-rnn&config.dModel=16&config.nLayers=1&task=novel&train.steps=5000&train.length=32&train.lr=0.003'

let server: Awaited<ReturnType<typeof serve>>
let browser: Browser
let context: BrowserContext
let page: Page
/** What must stay empty: requests to others, and whatever the console or the policy complains of. */
let complaints: string[] = []

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

afterAll(async () => {
  await browser?.close()
  await server?.close()
})

/** A visitor who has never been here. */
async function visit(hash = ''): Promise<void> {
  await context?.close()
  context = await browser.newContext({ viewport: { width: 1280, height: 900 } })
  page = await context.newPage()
  page.on('request', (request) => {
    if (!request.url().startsWith(server.url)) complaints.push(`request to ${request.url()}`)
  })
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text())
  })
  page.on('pageerror', (error) => complaints.push(error.message))
  await page.goto(`${server.url}/${hash === '' ? '' : `#${hash}`}`)
}

const progress = (run = 0) => page.getByRole('progressbar', { name: 'Steps taken' }).nth(run)
const steps = (run = 0): Promise<number> => progress(run).evaluate((bar) => (bar as HTMLProgressElement).value)
const button = (name: string, run = 0) => page.getByRole('button', { name, exact: true }).nth(run)
const figure = async (name: string, run = 0): Promise<string> => {
  const value = page.locator('.figures > div').filter({ hasText: name }).locator('.value')
  return (await value.nth(run).textContent()) ?? ''
}

async function until(holds: () => Promise<boolean>, limitMs = 15_000): Promise<void> {
  const end = performance.now() + limitMs
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`not so within ${limitMs} ms: ${holds}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

const atStep = (step: number, run = 0, limitMs = 20_000) => until(async () => (await steps(run)) >= step, limitMs)

async function standsStill(): Promise<number> {
  await page.getByText(/^Paused/).waitFor()
  const before = await steps()
  await page.waitForTimeout(400)
  expect(await steps()).toBe(before)
  return before
}

describe.skipIf(!found)('the playground', () => {
  beforeEach(() => {
    complaints = []
  })

  test('trains by itself on WebAssembly: first loss within 10 s, then it falls, and text is written', async () => {
    const started = performance.now()
    await visit()
    await until(async () => /^\d/.test(await figure('Training loss')), 10_000)
    expect(performance.now() - started).toBeLessThan(10_000)
    const first = Number(await figure('Training loss'))
    await page.getByText(/Computed by WebAssembly: the only WebGPU adapter here is software/).waitFor()
    await atStep(60)
    expect(Number(await figure('Training loss'))).toBeLessThan(first - 1)
    expect(Number(await figure('Validation loss'))).toBeLessThan(3.5)
    expect(await page.getByRole('list', { name: 'Earlier samples' }).getByRole('listitem').count()).toBeGreaterThan(0)
    await page.getByLabel('Let it go on from').fill('The sea ')
    await button('Write').click()
    await page.locator('output', { hasText: 'The sea' }).waitFor()
    expect(page.url()).toContain('#paper=min-rnn')
    expect(complaints).toEqual([])
  })

  test('pauses, takes one step, resumes, and stops and continues', async () => {
    await visit(small)
    await atStep(5)
    await button('Pause').click()
    const paused = await standsStill()
    await button('One step').click()
    await atStep(paused + 1)
    expect(await standsStill()).toBe(paused + 1)
    await button('Resume').click()
    await atStep(paused + 5)
    await button('Stop').click()
    await page.getByText(/^Stopped/).waitFor()
    const stopped = await steps()
    await button('Continue').click()
    await page.getByText(`Continued from step ${stopped}.`).waitFor()
    await atStep(stopped + 3)
    expect(complaints).toEqual([])
  })

  test('goes on from the checkpoint when the page is loaded again, and starts over when asked', async () => {
    await visit(small)
    await atStep(60)
    await button('Pause').click()
    const paused = await standsStill()
    await page.getByText(`Kept in this browser at step ${paused}.`).waitFor()
    await page.reload()
    await page.getByText(`Continued from step ${paused}.`).waitFor()
    await atStep(paused + 5)
    const chart = page.getByRole('img', { name: /Loss against steps/ })
    expect(await chart.getAttribute('aria-label')).toMatch(/from 4\.\d+ to [23]\.\d+/)
    await button('Start over').click()
    await until(async () => (await steps()) < paused && (await steps()) > 0)
    expect(await page.getByText('Continued from step').count()).toBe(0)
    expect(complaints).toEqual([])
  })

  test('trains another paper on another task, and a second run beside it in the same chart', async () => {
    await visit(small)
    await atStep(3)
    await page.getByLabel('Paper', { exact: true }).selectOption('transformer')
    await page.getByLabel('Task', { exact: true }).selectOption('mqar')
    await page.getByText('All settings').click()
    await page.getByLabel('pairs').fill('2')
    await page.getByLabel('length', { exact: true }).first().fill('16')
    await page.getByLabel('vocab').fill('16')
    await page.getByLabel('dModel').fill('32')
    await button('Start this').click()
    await page
      .getByText(/\d of 2 right/)
      .first()
      .waitFor()
    await atStep(20)
    expect(page.url()).toMatch(/paper=transformer.*config.dModel=32.*task=mqar.*task.pairs=2/)
    await button('Compare with another run').click()
    const form = page.getByRole('form', { name: 'Experiment B' })
    await form.getByLabel('Paper', { exact: true }).selectOption('min-rnn')
    await form.getByRole('button', { name: 'Start this' }).click()
    await atStep(20, 1)
    expect(await page.getByRole('table', { name: 'Curves of the chart' }).getByRole('row').count()).toBe(3)
    expect(page.url()).toContain('&b.paper=min-rnn')
    await page.getByText('The values as a table').click()
    await page.getByRole('table', { name: 'Run B', exact: true }).waitFor()
    await page.getByRole('button', { name: 'Remove run B' }).click()
    expect(page.url()).not.toContain('b.paper')
    expect(complaints).toEqual([])
  })

  test('says what is wrong with an address, a setting or a run, and how to go on', async () => {
    await visit('paper=min-rn')
    await page.getByText("no such paper 'min-rn'. Did you mean 'min-rnn'?").waitFor()
    await page.evaluate(() => {
      location.hash = 'paper=min-rnn&config.dModel=wide'
    })
    await page.getByText('config.dModel: expected number, got string "wide".').waitFor()
    await page.evaluate(() => {
      location.hash = 'task=mqar&task.pairs=100'
    })
    await page.getByText(/mqar.length: expected|mqar.vocab: expected/).waitFor()
    await page.evaluate(
      (hash) => {
        location.hash = hash
      },
      `${small.replace('train.lr=0.003', 'train.lr=1e30')}&train.clip=0&backend=wasm`,
    )
    await page.getByText(/Training stopped: training step \d+: expected finite numbers/).waitFor()
    await page
      .getByText(/Lower the learning rate/)
      .first()
      .waitFor()
    await page.evaluate(() => {
      location.hash = 'nonsense'
    })
    await button('open the default experiment').click()
    await atStep(2)
    expect(complaints).toEqual([])
  })
})
