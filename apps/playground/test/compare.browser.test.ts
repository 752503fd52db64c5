import { describe, expect, test } from 'vitest'
import { browsing, found } from './browse'

const tiny = (paper: string, prefix = '', config = 'config.dModel=16&config.nLayers=1'): string =>
  `paper=${paper}&${config}&task=mqar&task.length=16&task.pairs=2&task.vocab=16&train.steps=4000&train.evalEvery=50`
    .split('&')
    .map((part) => prefix + part)
    .join('&')

const { visit } = browsing()

describe.skipIf(!found)('comparing runs', () => {
  test('four runs at equal time, their accuracy by seconds, all from the address, and none after its time', async () => {
    const runs = [tiny('min-rnn'), tiny('transformer', 'b.'), tiny('gated-deltanet', 'c.'), tiny('mamba', 'd.')]
    const { page, complaints } = await visit(`${runs.join('&')}&equal=time&seconds=1&chart=accuracy&axis=seconds`)
    await page
      .getByText(/^Finished, step/)
      .nth(3)
      .waitFor()
    const table = page.getByRole('table', { name: /Runs on the page/ })
    const seconds = await table.locator('tbody tr td:nth-child(5)').allTextContents()
    expect(seconds).toHaveLength(4)
    for (const text of seconds) expect(Number(text)).toBeGreaterThanOrEqual(1)
    // its time ended each of them, and not its last step
    const ends = await page.getByText(/^Finished, step/).allTextContents()
    for (const words of ends) expect(Number(/step ([\d,]+)/.exec(words)?.[1]?.replace(',', ''))).toBeLessThan(4000)
    await expect.poll(() => page.getByRole('radio', { name: 'equal time' }).isChecked()).toBe(true)
    await page.getByRole('img', { name: /Accuracy against seconds: run A \d.*run D \d/ }).waitFor()

    await page.reload()
    await page
      .getByText(/^Finished, step/)
      .nth(3)
      .waitFor()
    await page.getByRole('button', { name: 'Remove run B' }).click()
    await table.getByRole('link', { name: 'Open Attention Is All You Need' }).waitFor()
    expect(page.url()).toMatch(/b.paper=gated-deltanet.*c.paper=mamba/)
    expect(page.url()).not.toContain('d.paper')

    await table.getByRole('button', { name: /^Parameters/ }).click()
    await expect.poll(() => table.locator('thead th').nth(1).getAttribute('aria-sort')).toBe('ascending')
    const counts = (await table.locator('tbody tr td:nth-child(2)').allTextContents()).map((text) =>
      Number(text.replaceAll(',', '')),
    )
    expect(counts).toEqual([...counts].sort((a, b) => a - b))
    await table.getByRole('button', { name: 'Forget Attention Is All You Need' }).click()
    await expect.poll(() => table.getByRole('link').count()).toBe(0)
    expect(complaints).toEqual([])
  })

  test('solves for equal parameters and for equal state, and says how near it came', async () => {
    const { page, complaints } = await visit(
      `${tiny('transformer', '', 'config.dModel=24&config.nLayers=1&config.dHead=4&config.nKvHeads=1')}&${tiny('min-rnn', 'b.')}&${tiny('gla', 'c.')}`,
    )
    await page
      .getByText(/^(Training|Finished), step/)
      .nth(2)
      .waitFor()
    await page.getByRole('button', { name: 'Pause all' }).click()
    await page.getByRole('radio', { name: 'equal parameters' }).check({ force: true })
    const words = page.locator('.make-equal [role=status]')
    await words.filter({ hasText: /Run B: .*Run C: [\d,]+ parameters/ }).waitFor()
    await page
      .getByText(/^(Training|Finished), step/)
      .nth(1)
      .waitFor()
    const cells = page.getByRole('table', { name: /Runs on the page/ }).locator('tbody tr td:nth-child(2)')
    const counts = (await cells.allTextContents()).map((text) => Number(text.replaceAll(',', '')))
    for (const count of counts) expect(Math.abs(count / (counts[0] as number) - 1)).toBeLessThan(0.03)
    await expect.poll(() => page.url()).toMatch(/equal=parameters/)
    await page.getByRole('radio', { name: 'equal state bytes' }).check({ force: true })
    await words.filter({ hasText: /Run C: [\d,]+ bytes of state/ }).waitFor()
    expect(complaints).toEqual([])
  })

  test('a rate that is left to the recipe is shown as that, and the curve by distance has a table', async () => {
    const { page, complaints } = await visit(tiny('min-rnn'))
    const rate = page.getByLabel('Rate recipe’s own')
    await expect.poll(() => rate.inputValue()).toBe('')
    expect(Number(await rate.getAttribute('placeholder'))).toBeGreaterThan(0)
    await page.getByRole('radio', { name: 'By distance' }).check({ force: true })
    await page.getByRole('img', { name: /By distance: run A \d/ }).waitFor()
    await page.getByText('The values as a table').click()
    const spans = page.getByRole('table', { name: 'Run A by distance' })
    await expect.poll(() => spans.locator('tbody tr').count()).toBeGreaterThan(1)
    expect(complaints).toEqual([])
  })
})
