import type { Page, Worker } from 'playwright-core'
import { describe, expect, test } from 'vitest'
import { formatCount } from '../src/view/format'
import { browsing, found, until } from './browse'

const { visit, browser } = browsing()
const tiny = (seed: number): string =>
  `paper=min-rnn&config.dModel=8&config.nLayers=1&task=selective-copying&task.length=14&task.data=3&task.vocab=6&train.batch=2&train.steps=100000&seed=${seed}`

const button = (page: Page, name: string) => page.getByRole('button', { name, exact: true })
const worker = (page: Page): Worker => page.workers().find((one) => /main-/.test(one.url())) as Worker
const step = (page: Page): Promise<number> =>
  page.getByRole('progressbar', { name: 'Steps taken' }).evaluate((bar) => (bar as HTMLProgressElement).value)

async function keptPaused(page: Page): Promise<number> {
  await page.getByText(/^Training, step [1-9]/).waitFor()
  await button(page, 'Pause').click()
  await page.getByText(/^Paused/).waitFor()
  const kept = await step(page)
  await page.getByText(`Kept in this browser at step ${formatCount(kept)}.`).waitFor()
  return kept
}

/** Every write fails for want of room while `full` says so. */
async function fill(page: Page, full: 'always' | 'until something is removed'): Promise<void> {
  await worker(page).evaluate((kind) => {
    const write = FileSystemWritableFileStream.prototype.write
    const remove = FileSystemDirectoryHandle.prototype.removeEntry
    let room = false
    FileSystemWritableFileStream.prototype.write = function (...given) {
      if (room) return write.apply(this, given)
      return Promise.reject(new DOMException('no room', 'QuotaExceededError'))
    }
    FileSystemDirectoryHandle.prototype.removeEntry = function (name, ...given) {
      if (kind !== 'always' && name.endsWith('history.json') && !name.startsWith('.')) room = true
      return remove.call(this, name, ...given)
    }
  }, full)
}

describe.skipIf(!found)('troubles', () => {
  test('without room a run goes on and says that it is not kept', async () => {
    const { page } = await visit(tiny(1))
    await keptPaused(page)
    await fill(page, 'always')
    await button(page, 'One step').click()
    await until(async () => (await step(page)) > 0)
    await button(page, 'Resume').click()
    await page.getByText(/^Training, step/).waitFor()
    await button(page, 'Pause').click()
    await page.getByText(/^This run could not be kept: .*: no room/).waitFor()
    await page.getByText('Training goes on.').waitFor()
  })

  test('without room the oldest run gives way to the newest', async () => {
    const { page, complaints } = await visit(tiny(2))
    await keptPaused(page)
    await page.evaluate((hash) => {
      location.hash = hash
    }, tiny(3))
    await page.getByText(/^Training, step [1-9]/).waitFor()
    await fill(page, 'until something is removed')
    const kept = await keptPaused(page)
    expect(await page.getByRole('alert').count()).toBe(0)
    await page.reload()
    await page.getByText(`Continued from step ${formatCount(kept)}.`).waitFor()
    await page.evaluate((hash) => {
      location.hash = hash
    }, tiny(2))
    await page.getByText(/^Training, step [1-9]/).waitFor()
    expect(await page.getByText('Continued from step').count()).toBe(0)
    expect(complaints).toEqual([])
  })

  test('a page that was put to sleep goes on training when it wakes', async () => {
    const { page, context } = await visit(tiny(4))
    await page.getByText(/^Training, step [1-9]/).waitFor()
    const session = await context.newCDPSession(page)
    await session.send('Page.setWebLifecycleState', { state: 'frozen' })
    await session.send('Page.setWebLifecycleState', { state: 'active' })
    const before = await step(page)
    await until(async () => (await step(page)) > before)
    expect(await page.getByRole('alert').count()).toBe(0)
  })

  test('a lost graphics card ends the run in words, and it continues from its checkpoint', async () => {
    const { page } = await visit(`${tiny(5)}&backend=webgpu`)
    const kept = await keptPaused(page)
    await button(page, 'Resume').click()
    const session = await browser().newBrowserCDPSession()
    await session.send('Browser.crashGpuProcess')
    await page.getByText(/^The graphics card went away/).waitFor()
    await button(page, 'Continue').click()
    await page.getByText(`Continued from step ${formatCount(kept)}.`).waitFor()
    await until(async () => (await step(page)) > kept)
  })
})
