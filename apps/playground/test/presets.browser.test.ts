import { describe, expect, test } from 'vitest'
import { browsing, found } from './browse'

const { visit } = browsing()

describe.skipIf(!found)('presets, claims and the sweep', () => {
  test('a preset and a claim open as runs by one click each', async () => {
    const { page, complaints } = await visit('view=experiments')
    await page.getByRole('link', { name: 'The delta rule against adding up' }).click()
    await page
      .getByText(/^Training, step/)
      .nth(1)
      .waitFor()
    expect(page.url()).toMatch(/paper=deltanet.*b.paper=gla.*chart=accuracy/)
    await page.goBack()
    const claims = page.getByRole('list', { name: 'Claims' })
    await claims
      .getByText(/^(Passes|Fails)$/)
      .first()
      .waitFor()
    const line = claims.getByRole('link').first()
    const lines = (await line.textContent())?.split('; ').length
    await line.click()
    await page.getByRole('form', { name: 'Experiment A' }).waitFor()
    await expect.poll(() => page.getByRole('form').count()).toBe(lines)
    expect(complaints).toEqual([])
  })

  test('the sweep fills the picture run by run', async () => {
    const { page, complaints } = await visit(
      'view=recall&paper=min-rnn&config.dModel=8&config.nLayers=1&task=mqar&task.length=16&task.pairs=2&task.vocab=16&train.steps=20',
    )
    const table = page.getByRole('table', { name: 'The points as a table' })
    await table.getByRole('row').nth(1).waitFor()
    await page.getByRole('button', { name: /^Run three papers/ }).click()
    await page.getByText('1 of 9 have finished').waitFor()
    await expect.poll(() => table.getByRole('row').count()).toBe(3)
    expect(
      await page
        .getByRole('img', { name: /Accuracy against bytes of state/ })
        .locator('path')
        .count(),
    ).toBe(2)
    await expect.poll(() => page.url()).toContain('sweep=recall')
    await page.getByRole('button', { name: 'Stop the sweep' }).click()
    await expect.poll(() => page.url()).not.toContain('sweep')
    await page.reload()
    await table.getByRole('row').nth(2).waitFor()
    expect(complaints).toEqual([])
  })
})
