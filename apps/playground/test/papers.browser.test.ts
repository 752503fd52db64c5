import { readFile } from 'node:fs/promises'
import { paperKeys } from '@mneme/models'
import { describe, expect, test } from 'vitest'
import { collected } from '../catalogue/paper-pages'
import type { ClaimEntry, ClaimRowEntry } from '../src/view/papers/paper-pages'
import { browsing, found } from './browse'

const { visit } = browsing()

describe.skipIf(!found)('papers', () => {
  test('every paper is listed, and found by words and family', async () => {
    const { page, complaints } = await visit('view=papers')
    const rows = page.locator('.paper-list li')
    await rows.first().waitFor()
    await expect.poll(() => rows.count()).toBe(paperKeys.length)
    await page.getByLabel('Title, author, mechanism').fill('learning memorize test')
    await expect.poll(() => rows.count()).toBe(1)
    await page.getByRole('link', { name: /Titans/ }).click()
    await page.getByRole('heading', { name: /Titans/ }).waitFor()
    expect(page.url()).toContain('view=papers/titans')
    await page.goBack()
    await page.getByLabel('Family').selectOption('memory')
    const memories = await rows.count()
    expect(memories).toBeGreaterThan(0)
    expect(memories).toBeLessThan(paperKeys.length)
    expect(complaints).toEqual([])
  })

  test('a page shows equation, letters, claim with figures, and trains the smallest form', async () => {
    const { page, complaints } = await visit('view=papers/gated-deltanet')
    await page.getByRole('heading', { name: 'Gated Delta Networks' }).waitFor()
    await expect.poll(() => page.locator('.equation math').count()).toBeGreaterThan(0)
    await expect.poll(() => page.getByText('model width').count()).toBe(1)
    // its state has the name that notation gives to keys and values
    expect(await page.getByText('keys and values that a query can look at').count()).toBe(0)
    await page.getByText('packages/models/src/gated-deltanet.ts').click()
    const source = page.getByRole('region', { name: 'Source of gated-deltanet' })
    const file = new URL('../../../packages/models/src/gated-deltanet.ts', import.meta.url)
    await expect.poll(() => source.textContent()).toBe(await readFile(file, 'utf8'))
    await page.getByRole('button', { name: 'Train it here' }).click()
    const status = page.locator('.tiny [role=status]')
    await page.getByRole('button', { name: 'Train it again' }).waitFor()
    const [, loss, share] = /loss (\d\.\d+), (\d+\.\d) %/.exec((await status.textContent()) ?? '') ?? []
    expect(Number(loss)).toBeLessThan(Math.log(4))
    expect(Number(share)).toBeGreaterThan(25)
    await page.getByRole('img', { name: /Training loss/ }).focus()
    await page.keyboard.press('ArrowRight')
    await expect.poll(() => page.locator('.tiny output').textContent()).toMatch(/^step 1: \d/)
    const measured = collected.claims.find(({ rows }) => rows.length > 0) as ClaimEntry
    const { label, paper, median } = measured.rows[0] as ClaimRowEntry
    await page.evaluate((hash) => {
      location.hash = hash
    }, `view=papers/${paper}`)
    const table = page.getByRole('region', { name: measured.title }).getByRole('table')
    const figures = table.locator('tr', { has: page.getByRole('rowheader', { name: label, exact: true }) })
    await figures.getByText(median).waitFor()
    expect(complaints).toEqual([])
  })

  test('what is no paper is said to be none', async () => {
    const { page } = await visit('view=papers/titan')
    await page.getByText('There is no paper ‘titan’.').waitFor()
  })
})
