import type { Page } from 'playwright-core'
import { describe, expect, test } from 'vitest'
import { formatCount } from '../src/view/format'
import { browsing, found, small, until } from './browse'

const { visit: open } = browsing()
let page: Page
/** What must stay empty. */
let complaints: string[] = []

async function visit(hash = ''): Promise<void> {
  const visited = await open(hash)
  page = visited.page
  complaints = visited.complaints
}

const progress = (run = 0) => page.getByRole('progressbar', { name: 'Steps taken' }).nth(run)
const steps = (run = 0): Promise<number> => progress(run).evaluate((bar) => (bar as HTMLProgressElement).value)
const button = (name: string, run = 0) => page.getByRole('button', { name, exact: true }).nth(run)
const figure = async (name: string, run = 0): Promise<string> => {
  const value = page.locator('.figures > div').filter({ hasText: name }).locator('.value')
  return (await value.nth(run).textContent()) ?? ''
}

const atStep = (step: number, run = 0) => until(async () => (await steps(run)) >= step)

async function standsStill(): Promise<number> {
  await page.getByText(/^Paused/).waitFor()
  const before = await steps()
  await page.waitForTimeout(400)
  expect(await steps()).toBe(before)
  return before
}

describe.skipIf(!found)('the playground', () => {
  test('trains by itself on WebAssembly: the loss falls, and text is written', async () => {
    await visit()
    await page.getByText(/Computed by WebAssembly: the only WebGPU adapter here is software/).waitFor()
    const chart = page.getByRole('img', { name: /Loss against steps: run A from \d/ })
    const first = Number(/from (\d\.\d+)/.exec((await chart.getAttribute('aria-label')) ?? '')?.[1])
    await until(async () => Number(await figure('Training loss')) < first - 1)
    await until(async () => Number(await figure('Validation loss')) < 3.5)
    await page.getByRole('list', { name: 'Earlier samples' }).getByRole('listitem').first().waitFor()
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
    await page.getByText(`Continued from step ${formatCount(stopped)}.`).waitFor()
    await atStep(stopped + 3)
    expect(complaints).toEqual([])
  })

  test('goes on from the checkpoint when the page is loaded again, and starts over when asked', async () => {
    await visit(small)
    await atStep(60)
    await button('Pause').click()
    const paused = await standsStill()
    await page.getByText(`Kept in this browser at step ${formatCount(paused)}.`).waitFor()
    await page.reload()
    await page.getByText(`Continued from step ${formatCount(paused)}.`).waitFor()
    await atStep(paused + 5)
    const chart = page.getByRole('img', { name: /Loss against steps/ })
    await expect.poll(() => chart.getAttribute('aria-label')).toMatch(/from 4\.\d+ to [23]\.\d+/)
    await button('Start over').click()
    await page.getByText('Continued from step').waitFor({ state: 'hidden' })
    await page.getByText(/^Training, step [1-9]/).waitFor()
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
    await expect.poll(() => page.getByRole('table', { name: 'Curves of the chart' }).getByRole('row').count()).toBe(3)
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
