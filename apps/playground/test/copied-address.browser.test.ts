import type { Page } from 'playwright-core'
import { describe, expect, test } from 'vitest'
import { browsing, found, small } from './browse'

const { visit } = browsing()
const recall = (paper: string, prefix = ''): string =>
  `paper=${paper}&config.dModel=16&config.nLayers=2&task=mqar&task.pairs=2&task.length=16&task.vocab=16&train.steps=3`
    .split('&')
    .map((part) => prefix + part)
    .join('&')

/** What the page's own button gives to a friend: the part after `#`. */
async function copied(page: Page): Promise<string> {
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write'])
  await page.getByRole('button', { name: 'Copy link' }).click()
  await page.getByRole('button', { name: 'Link copied' }).waitFor()
  return new URL(await page.evaluate(() => navigator.clipboard.readText())).hash.slice(1)
}

/** The value of every control in sight, and which of the pressed ones is pressed. */
function controls(page: Page): Promise<string[]> {
  return page.locator('main').evaluate((main) => {
    const fields = Array.from(main.querySelectorAll<HTMLInputElement>('input, select, textarea'), (field) =>
      field.type === 'radio' || field.type === 'checkbox' ? String(field.checked) : field.value,
    )
    const pressed = Array.from(main.querySelectorAll('[aria-pressed]'), (button) =>
      String(button.getAttribute('aria-pressed')),
    )
    return [...fields, ...pressed]
  })
}

/** Opens the copied address as somebody who has never been here; what is there then. */
async function friendSees(page: Page, ready: (friend: Page) => Promise<unknown>): Promise<string[]> {
  const { page: friend, complaints } = await visit(await copied(page))
  await ready(friend)
  expect(complaints).toEqual([])
  return controls(friend)
}

describe.skipIf(!found)('a copied address', () => {
  test('shows a friend the same run, token, map, head, part of the state and signal', async () => {
    const { page } = await visit(`view=inside&${recall('min-rnn')}&${recall('gated-deltanet', 'b.')}`)
    const ready = async (one: Page): Promise<void> => {
      await one.getByText('Seen at step').waitFor()
      await one.getByLabel('Part of the state').waitFor()
      await one.getByLabel('Head', { exact: true }).waitFor()
    }
    await page.getByRole('radio', { name: /Gated Delta/ }).check()
    await ready(page)
    await page.getByRole('button', { name: /^Token 5 / }).click()
    const map = page.getByLabel('Map')
    await map.selectOption({ index: (await map.locator('option').count()) - 1 })
    await page.getByRole('list', { name: /^All / }).getByRole('button').last().click()
    const state = page.getByLabel('Part of the state')
    const memories = await state.locator('option', { hasText: /layer 1 .*memory/ }).allTextContents()
    await state.selectOption({ label: memories.at(-1) ?? '' })
    const head = page.getByLabel('Head', { exact: true })
    await head.selectOption({ index: (await head.locator('option').count()) - 1 })
    await page.getByLabel('Signal').selectOption({ index: 1 })
    const seen = await controls(page)
    expect(await friendSees(page, ready)).toEqual(seen)
    expect(page.url()).toMatch(
      /view=inside\/b.*look.token=5&look.map=\d+&look.head=\d+&look.state=\d+&look.stateHead=\d+&look.signal=2/,
    )
  })

  test('shows a friend the sliders of a lesson, the papers that were found, how runs are sorted and what is drawn', async () => {
    const { page } = await visit(`view=lessons/why-decay&${small}`)
    await page.getByLabel('Decay α').fill('0.9')
    await page.getByLabel('Pairs that are stored').fill('12')
    const summary = (one: Page) => one.locator('.summary').textContent()
    const alike = async (one: Page) => {
      const [own, other] = [await summary(page), await summary(one)]
      return own === other && own?.includes('recalled')
    }
    const lesson = await controls(page)
    expect(lesson).toEqual(['0.9', '12'])
    expect(await friendSees(page, (one) => expect.poll(() => alike(one)).toBe(true))).toEqual(lesson)

    await page.getByRole('link', { name: 'Papers', exact: true }).click()
    await page.getByLabel('Title, author, mechanism').fill('state')
    await page.getByLabel('Family').selectOption('recurrent')
    await page.getByLabel('Order').selectOption('newest')
    const papers = await controls(page)
    const rows = await page.locator('.paper-list h3').allTextContents()
    expect(rows.length).toBeGreaterThan(1)
    const listed = async (one: Page) => {
      await one.locator('.paper-list h3').first().waitFor()
      expect(await one.locator('.paper-list h3').allTextContents()).toEqual(rows)
    }
    expect(await friendSees(page, listed)).toEqual(papers)

    await page.getByRole('link', { name: 'Train', exact: true }).click()
    await page
      .getByRole('table', { name: /Runs on the page/ })
      .getByRole('button', { name: 'Accuracy' })
      .click()
    await page.getByRole('radio', { name: 'Accuracy' }).check({ force: true })
    await page.getByLabel('Let it go on from').fill('The sea ')
    const trained = await controls(page)
    expect(trained).toContain('The sea ')
    expect(await friendSees(page, (one) => one.getByLabel('Let it go on from').waitFor())).toEqual(trained)
    // what was moved and found elsewhere is in the same address
    expect(page.url()).toMatch(/runs.order=tokenAcc.*papers.family=recurrent.*lesson.why-decay.pairs=12/)
  })
})
