import { describe, expect, test } from 'vitest'
import { browsing, found, small } from './browse'

const { visit } = browsing()
const recall = 'task=mqar&task.pairs=2&task.length=16&task.vocab=16&config.dModel=16&config.nLayers=1&train.steps=5000'

describe.skipIf(!found)('looking inside', () => {
  test('a delta rule on recall: maps, states, gates and influence, read by keyboard and as tables', async () => {
    const { page, complaints } = await visit(`view=inside&paper=gated-deltanet&${recall}`)
    const map = page.getByRole('img', { name: /layer 0, delta rule, head 1: 16 by 16/ })
    await map.waitFor()
    await page.getByText(/^Seen at step \d+\.$/).waitFor()
    await expect
      .poll(() => page.getByRole('list', { name: 'All heads' }).getByRole('button').count())
      .toBeGreaterThan(0)
    // the map is causal: what a token gives to one before it is exactly nothing
    await map.focus()
    await page.keyboard.press('ArrowRight')
    const reading = page.locator('.map-pair output')
    await expect.poll(() => reading.textContent()).toMatch(/^token 1 ‘.+’, reads 2 ‘.+’: 0$/)
    await page.keyboard.press('ArrowDown')
    await expect.poll(() => reading.textContent()).toMatch(/^token 2 ‘.+’, reads 2 ‘.+’: -?\d/)
    await page.getByRole('img', { name: /memory over time: \d+ by 16/ }).waitFor()
    await page.getByRole('heading', { name: /^Written at token/ }).waitFor()
    const signal = page.getByLabel('Signal')
    await expect.poll(() => signal.locator('option').allTextContents()).toContain('layer 0, beta')
    await signal.selectOption({ label: 'layer 0, beta' })
    await page.getByRole('img', { name: /^beta over time/ }).waitFor()
    const influence = page.getByRole('region', { name: 'How far outputs look', exact: true })
    await influence.getByRole('img', { name: /^Influence on the output/ }).waitFor()
    await influence.getByText('The values as a table').click()
    // every picture has its values as a table
    const figures = page.locator('main figure:not(.links)')
    expect(await figures.count()).toBeGreaterThan(7)
    for (const figure of await figures.all()) {
      const details = figure.locator('details.values')
      if ((await details.getAttribute('open')) === null) await details.locator('summary').click()
      await details.getByRole('cell').first().waitFor()
    }
    // the output after token 9 owes nothing to token 16
    const [first, , last] = await influence.getByRole('row', { name: /^16 / }).getByRole('cell').allTextContents()
    expect(Number(first)).toBe(0)
    expect(Number(last)).toBeGreaterThan(0)
    expect(complaints).toEqual([])
  })

  test('Titans: surprise at every token; another row, and a paused run', async () => {
    const { page, complaints } = await visit(`view=inside&paper=titans&${recall}`)
    await page.getByLabel('Signal').waitFor()
    await expect.poll(() => page.getByLabel('Signal').locator('option').first().textContent()).toBe('layer 0, surprise')
    await page.getByRole('img', { name: /^surprise over time: 16 values/ }).waitFor()
    await page.getByLabel('Signal').selectOption({ label: 'layer 0, read' })
    await page.getByRole('img', { name: /^read over time: \d+ by 16/ }).waitFor()
    await page.getByRole('button', { name: 'Pause' }).click()
    await page.getByText(/^Paused/).waitFor()
    const tokens = page.locator('.token-strip')
    const before = await tokens.textContent()
    await page.getByRole('button', { name: 'Another row' }).click()
    await page.waitForFunction((text) => document.querySelector('.token-strip')?.textContent !== text, before)
    // the address names what is looked at
    await expect.poll(() => page.url()).toContain('look.row=1')
    const after = await tokens.textContent()
    await page.reload()
    await tokens.waitFor()
    await expect.poll(() => tokens.textContent()).toBe(after)
    expect(complaints).toEqual([])
  })

  test('typed text is read by a language model', async () => {
    const { page, complaints } = await visit(`view=inside&${small}`)
    await page.getByLabel(/^Text to read/).fill('whale')
    await page.getByRole('button', { name: 'Look again' }).click()
    await page.locator('.token-strip', { hasText: /^whale$/ }).waitFor()
    await page.getByRole('img', { name: /linear scan, channel 1: 5 by 5/ }).waitFor()
    await page.getByText(/^After token 5 ‘e’ the model expects ‘.+’ \d+\.\d %/).waitFor()
    expect(complaints).toEqual([])
  })
})
