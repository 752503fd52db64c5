#!/usr/bin/env node
// Measures the built page in headless Chromium, and prints what was found beside what was promised.
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { chromium } from 'playwright-core'
import { serve } from './server.mjs'

const dist = fileURLToPath(new URL('./dist/', import.meta.url))

/** What the page promises. */
export const limits = {
  scriptBytes: 250_000,
  firstPaintMs: 1500,
  longTaskMs: 50,
  framesPerSecond: 55,
  threadMsPerSecond: 200,
}

/** While a page loads and compiles, it may be busy for longer. */
const settlingMs = 5000

/** @returns {Promise<number>} bytes, gzipped, of the scripts that the page names: what is loaded before anything is chosen */
export async function initialScriptBytes() {
  const html = await readFile(`${dist}index.html`, 'utf8')
  const names = Array.from(html.matchAll(/(?:src|href)="\.\/(assets\/[^"]+\.js)"/g), ([, name]) => name)
  const sizes = await Promise.all(names.map(async (name) => gzipSync(await readFile(`${dist}${name}`)).length))
  return sizes.reduce((total, size) => total + size, 0)
}

/**
 * Counts frames and tasks over 50 ms from now on; for `page.addInitScript`, or in a page that is open.
 *
 * @returns {void}
 */
export function watchPage() {
  /** @type {{ tasks: [number, number][], frames: number[] }} */
  const watched = { tasks: [], frames: [] }
  Object.assign(globalThis, { watched })
  new PerformanceObserver((list) => {
    for (const { startTime, duration } of list.getEntries()) watched.tasks.push([startTime, duration])
  }).observe({ type: 'longtask', buffered: true })
  const frame = (/** @type {number} */ now) => {
    watched.frames.push(now)
    requestAnimationFrame(frame)
  }
  requestAnimationFrame(frame)
}

/** @param {number} from milliseconds after the page was opened */
export function watchedSince(from) {
  const { tasks, frames } = /** @type {{ watched: { tasks: [number, number][], frames: number[] } }} */ (
    /** @type {unknown} */ (globalThis)
  ).watched
  const long = tasks.filter(([start]) => start >= from).map(([, duration]) => Math.round(duration))
  const drawn = frames.filter((at) => at >= from)
  const gaps = drawn.slice(1).map((at, i) => at - /** @type {number} */ (drawn[i]))
  const spanMs = /** @type {number} */ (drawn.at(-1)) - /** @type {number} */ (drawn[0])
  return {
    longTasks: long.length,
    longestTaskMs: Math.max(0, ...long),
    framesPerSecond: Math.round((10_000 * gaps.length) / spanMs) / 10,
    longestFrameMs: Math.round(Math.max(0, ...gaps)),
  }
}

const recall = 'task=mqar&task.length=32&task.pairs=4&task.vocab=32&train.steps=100000&train.batch=32'
const papers = ['gated-deltanet', 'transformer', 'mamba', 'min-rnn']

/** @param {number} count the address of so many runs */
function addressOf(count) {
  const runs = papers.slice(0, count).map((paper, i) =>
    `paper=${paper}&config.dModel=32&config.nLayers=2&${recall}`
      .split('&')
      .map((part) => (i === 0 ? part : `${'abcd'[i]}.${part}`))
      .join('&'),
  )
  return `#${runs.join('&')}`
}

/**
 * @param {import('playwright-core').Browser} browser
 * @param {string} url
 */
async function measureOpening(browser, url) {
  const paints = []
  const losses = []
  for (let visit = 0; visit < 5; visit++) {
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 } })
    const page = await context.newPage()
    const started = performance.now()
    await page.goto(url)
    await page.locator('.figures > div', { hasText: 'Training loss' }).getByText(/^\d/).first().waitFor()
    losses.push(performance.now() - started)
    const painted = await page.evaluate(
      () => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? Number.NaN,
    )
    paints.push(painted)
    await context.close()
  }
  return { paintMs: median(paints), lossMs: median(losses) }
}

/**
 * Processor time of the page's own thread from now on, which other processes cannot make longer.
 *
 * @param {import('playwright-core').Page} page
 * @returns {Promise<() => Promise<{ all: number, script: number, style: number, layout: number }>>} milliseconds a second
 */
export async function watchThread(page) {
  const session = await page.context().newCDPSession(page)
  await session.send('Performance.enable', { timeDomain: 'threadTicks' })
  const read = async () => {
    const { metrics } = await session.send('Performance.getMetrics')
    return new Map(metrics.map(({ name, value }) => [name, value]))
  }
  const [before, started] = [await read(), performance.now()]
  return async () => {
    const now = await read()
    const passed = (performance.now() - started) / 1000
    const perSecond = (/** @type {string} */ name) => (1000 * ((now.get(name) ?? 0) - (before.get(name) ?? 0))) / passed
    return {
      all: perSecond('TaskDuration'),
      script: perSecond('ScriptDuration'),
      style: perSecond('RecalcStyleDuration'),
      layout: perSecond('LayoutDuration'),
    }
  }
}

/**
 * @param {import('playwright-core').Browser} browser
 * @param {string} url
 * @param {number} runs
 * @param {number} seconds
 */
async function measureTraining(browser, url, runs, seconds) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 } })
  const page = await context.newPage()
  const strangers = new Set()
  page.on('request', (request) => {
    if (!request.url().startsWith(url) && !request.url().startsWith('blob:')) strangers.add(request.url())
  })
  await page.addInitScript(watchPage)
  await page.goto(`${url}/${addressOf(runs)}`)
  await page
    .getByText(/^Training, step [1-9]/)
    .nth(runs - 1)
    .waitFor()
  await page.waitForTimeout(settlingMs)
  const from = await page.evaluate(() => performance.now())
  const threadTime = await watchThread(page)
  await page.waitForTimeout(1000 * seconds)
  const thread = await threadTime()
  const found = { ...(await page.evaluate(watchedSince, from)), thread, strangers: strangers.size }
  await context.close()
  return found
}

/** @param {number[]} values */
function median(values) {
  return Math.round(values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const seconds = Number(process.argv[2] ?? 30)
  const server = await serve({ port: 0 })
  const browser = await chromium.launch({
    executablePath: process.env.MNEME_CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox'],
  })
  try {
    console.log(`initial script, gzipped: ${await initialScriptBytes()} bytes; promised ${limits.scriptBytes}`)
    const { paintMs, lossMs } = await measureOpening(browser, server.url)
    console.log(`first contentful paint: ${paintMs} ms; promised ${limits.firstPaintMs}`)
    console.log(`first loss: ${lossMs} ms`)
    console.log(`page while training, ${seconds} s; promised: no task over ${limits.longTaskMs} ms, 60 frames a second`)
    for (const runs of [1, 2, 4]) {
      const found = await measureTraining(browser, server.url, runs, seconds)
      const { longTasks, longestTaskMs, framesPerSecond, longestFrameMs, thread, strangers } = found
      const spent = Object.entries(thread).map(([part, ms]) => `${part} ${ms.toFixed(1)}`)
      console.log(
        `  ${runs} at once: ${longTasks} long tasks, longest ${longestTaskMs} ms; ${framesPerSecond} frames a second, longest wait ${longestFrameMs} ms; ${strangers} requests to others`,
      )
      console.log(`    processor time of the page's thread, ms a second: ${spent.join(', ')}`)
    }
  } finally {
    await browser.close()
    await server.close()
  }
}
