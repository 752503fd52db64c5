import { describe, expect, test } from 'vitest'
import { browsing, found, small } from './browse'

const { visit, url } = browsing()

describe.skipIf(!found)('offline', () => {
  test('after the first visit everything opens without a network: training, papers, another backend', async () => {
    const { page, context, complaints } = await visit(small, { serviceWorkers: 'allow' })
    await page.waitForFunction(() => navigator.serviceWorker.controller !== null)
    expect(complaints).toEqual([])
    await context.setOffline(true)
    await page.reload()
    await page.getByText(/^Training, step [1-9]/).waitFor()
    await page.getByText(/Computed by WebAssembly/).waitFor()
    expect(await page.evaluate(() => crossOriginIsolated)).toBe(true)
    await page.getByRole('link', { name: 'Papers', exact: true }).click()
    await page.getByRole('link', { name: /Titans/ }).click()
    await page.getByRole('button', { name: 'Train it here' }).click()
    await page.locator('.tiny [role=status]', { hasText: 'Step' }).waitFor()
    expect(complaints).toEqual([])
  })

  test('the service worker is asked for anew, assets are kept, and the page can be installed', async () => {
    const header = async (path: string): Promise<string | null> =>
      (await fetch(`${url()}${path}`)).headers.get('cache-control')
    expect(await header('/sw.js')).toBe('no-cache')
    expect(await header('/')).toBe('no-cache')
    const script = /assets\/index-[\w-]+\.js/.exec(await (await fetch(url())).text())?.[0]
    expect(await header(`/${script}`)).toContain('immutable')
    const manifest = await (await fetch(`${url()}/manifest.webmanifest`)).json()
    for (const { src } of manifest.icons) expect((await fetch(`${url()}/${src}`)).status).toBe(200)
    expect(manifest.display).toBe('standalone')
  })
})
