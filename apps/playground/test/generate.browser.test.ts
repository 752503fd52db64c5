import { describe, expect, test } from 'vitest'
import { browsing, found } from './browse'

const { visit } = browsing()

const small =
  'view=generate&paper=min-rnn&config.dModel=16&config.nLayers=1&task=novel&train.steps=5000&train.length=32&train.lr=0.003'

describe.skipIf(!found)('generating', () => {
  test('text comes token by token with probabilities, forks at any of them, and stops when asked', async () => {
    const { page, complaints } = await visit(`${small}&draw.prompt=The%20sea&draw.tokens=30&draw.temperature=0.5`)
    const write = page.getByRole('button', { name: 'Write', exact: true })
    await write.click()
    const text = page.getByRole('article', { name: 'Text' })
    await text.getByText(/^Written at step/).waitFor()
    const tokens = text.locator('[data-token]')
    await expect.poll(() => tokens.count()).toBe(30)

    // the first can be reached by the keyboard, and the next from it
    await tokens.nth(0).focus()
    await page.keyboard.press('ArrowRight')
    await expect.poll(() => tokens.nth(1).evaluate((element) => element === document.activeElement)).toBe(true)
    await text.getByText(/^Token 2, .* had \d+\.\d %/).waitFor()
    await page.keyboard.press('Enter')
    const fork = page.getByRole('article', { name: 'Fork' })
    await fork.getByText(/^Written at step/).waitFor()
    await expect.poll(() => fork.locator('.shared').count()).toBe(1)
    await expect.poll(() => fork.locator('[data-token]').count()).toBe(30)
    await expect.poll(() => fork.locator('[data-token]').nth(0).textContent()).toBe(await tokens.nth(0).textContent())

    await text.getByText('The tokens as a table').click()
    const table = text.getByRole('table', { name: 'Tokens and their probabilities' })
    await expect.poll(() => table.locator('tbody tr').count()).toBe(30)
    for (const share of await table.locator('tbody td:nth-child(3)').allTextContents()) {
      expect(Number.parseFloat(share)).toBeGreaterThanOrEqual(0)
      expect(Number.parseFloat(share)).toBeLessThanOrEqual(100)
    }

    await page.getByLabel('Tokens at most').fill('5000')
    await write.click()
    await tokens.nth(5).waitFor({ state: 'attached' })
    await page.getByRole('button', { name: 'Stop', exact: true }).click()
    await text.getByText(/^Written at step/).waitFor()
    await expect.poll(() => tokens.count()).toBeLessThan(5000)
    await expect.poll(() => page.url()).toContain('draw.tokens=5000')
    expect(complaints).toEqual([])
  })

  test('the same seed writes the same, and a task without text is said to have none', async () => {
    const { page, complaints } = await visit(`${small}&draw.tokens=20&train.steps=1`)
    const article = page.getByRole('article', { name: 'Text' })
    const texts: (string | null)[] = []
    for (const seed of ['3', '3', '4']) {
      await page.getByLabel('Seed of the draws').fill(seed)
      await page.getByRole('button', { name: 'Write', exact: true }).click()
      await article.getByText(`seed ${seed}`).waitFor()
      await article.getByText(/^Written at step 1:/).waitFor()
      texts.push(await article.locator('.tokens').textContent())
    }
    expect(texts[1]).toBe(texts[0])
    expect(texts[2]).not.toBe(texts[0])
    await page.evaluate(() => {
      location.hash = 'view=generate&paper=min-rnn&config.dModel=16&task=mqar&task.length=16&task.pairs=2'
    })
    await page.getByText(/task is no text/).waitFor()
    expect(complaints).toEqual([])
  })
})
