import { describe, expect, test } from 'vitest'
import { initialScriptBytes, limits, watchedSince, watchPage, watchThread } from '../measure.mjs'
import { browsing, found, small } from './browse'

const { visit, url } = browsing()

describe.skipIf(!found)('what the page promises', () => {
  test('little script before anything is chosen', async () => {
    const bytes = await initialScriptBytes()
    expect(bytes).toBeGreaterThan(10_000)
    expect(bytes).toBeLessThan(limits.scriptBytes)
  })

  test('every file comes isolated, under a policy without a way out', async () => {
    const script = /assets\/index-[\w-]+\.js/.exec(await (await fetch(url())).text())?.[0]
    for (const path of ['/', `/${script}`, '/sw.js', '/manifest.webmanifest']) {
      const { status, headers } = await fetch(`${url()}${path}`)
      expect(status).toBe(200)
      expect(headers.get('cross-origin-opener-policy')).toBe('same-origin')
      expect(headers.get('cross-origin-embedder-policy')).toBe('require-corp')
      const policy = headers.get('content-security-policy')
      expect(policy).toContain("default-src 'self';")
      expect(policy).not.toMatch(/'unsafe-(inline|eval)'|https?:|\*/)
    }
  })

  test('the page’s own thread is mostly idle while two runs train', async () => {
    const { page, complaints } = await visit(`${small}&${small.replace(/(^|&)/g, '$1b.')}&b.seed=1`)
    await page
      .getByText(/^Training, step [1-9]/)
      .nth(1)
      .waitFor()
    await page.evaluate(watchPage)
    const from = await page.evaluate(() => performance.now())
    const threadTime = await watchThread(page)
    // frames, not a clock, say that the page has lived for a while
    await page.waitForFunction(() => (globalThis as unknown as { watched: { frames: [] } }).watched.frames.length > 90)
    const { framesPerSecond } = await page.evaluate(watchedSince, from)
    const { all, script } = await threadTime()
    expect(framesPerSecond).toBeGreaterThan(0)
    expect(script).toBeGreaterThan(0)
    expect(all).toBeGreaterThan(script)
    expect(all).toBeLessThan(limits.threadMsPerSecond)
    expect(complaints).toEqual([])
  })
})
