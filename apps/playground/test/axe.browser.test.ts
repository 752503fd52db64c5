import { createRequire } from 'node:module'
import type { AxeResults } from 'axe-core'
import type { Page } from 'playwright-core'
import { describe, expect, test } from 'vitest'
import { views } from '../src/views'
import { browsing, found } from './browse'

const { visit } = browsing()
const axe = createRequire(import.meta.url).resolve('axe-core/axe.min.js')
const small =
  'paper=gated-deltanet&config.dModel=16&config.nLayers=1&task=mqar&task.pairs=2&task.length=16&task.vocab=16&train.steps=40'

/** Each view with what it shows when it is in use. */
const places = [...views.map(({ key }) => key), 'papers/mamba', 'lessons/delta-rule']

/** Two runs where they are compared. */
function addressOf(place: string): string {
  const second = place === 'train' ? `&${small.replace(/(^|&)/g, '$1b.')}&b.seed=1` : ''
  return `view=${place}&${small}${second}`
}

/** What has to be there before a place is judged. */
const ready: Readonly<Record<string, string>> = {
  train: '.lane ~ .lane :text("Finished")',
  inside: 'section:has(h3:text("How far outputs look")) svg',
  'lessons/delta-rule': '.lesson-figures figure',
  beyond: 'text=/is done: the model of step/',
  device: 'text=kernels agree',
}

/** What is pressed first, where a view waits for it. */
const pressed: Readonly<Record<string, string>> = { beyond: 'Evaluate' }

/** What another theme or width can break that was right in one of each. */
const byTheme = ['color-contrast', 'link-in-text-block', 'scrollable-region-focusable', 'target-size']

const shapes = [
  { width: 1440, colorScheme: 'light', rules: null },
  { width: 1440, colorScheme: 'dark', rules: byTheme },
  { width: 390, colorScheme: 'dark', rules: null },
  { width: 390, colorScheme: 'light', rules: byTheme },
] as const

async function violations(page: Page, rules: readonly string[] | null = null): Promise<string[]> {
  const options = rules === null ? {} : { runOnly: { type: 'rule', values: rules } }
  const found = await page.evaluate(`axe.run(${JSON.stringify(options)})`)
  const { violations: broken, passes } = found as AxeResults
  expect(passes.length).toBeGreaterThan(rules === null ? 10 : 0)
  return broken.flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => `${id}: ${html}\n${failureSummary}`))
}

describe.skipIf(!found)('accessibility', () => {
  test('no view breaks a rule of axe, in both themes, on a desk and on a phone', async () => {
    // axe is put into the page by the test, which the page's policy forbids to others
    const { page } = await visit(`view=device&${small}`, { bypassCSP: true })
    await page.addScriptTag({ path: axe })
    const broken: string[] = []
    for (const place of places) {
      await page.evaluate((hash) => {
        location.hash = hash
      }, addressOf(place))
      const button = pressed[place]
      if (button !== undefined) await page.getByRole('button', { name: button }).click()
      await page
        .locator(ready[place] ?? 'main h2')
        .first()
        .waitFor()
      for (const { width, colorScheme, rules } of shapes) {
        await page.setViewportSize({ width, height: 900 })
        await page.emulateMedia({ colorScheme })
        broken.push(
          ...(await violations(page, rules)).map((line) => `${place}, ${width} wide, ${colorScheme}: ${line}`),
        )
      }
    }
    expect(broken).toEqual([])
  }, 400_000)

  test('a page with a fault is found out', async () => {
    const { page } = await visit('view=papers', { bypassCSP: true })
    await page.addScriptTag({ path: axe })
    await page.locator('main h2').waitFor()
    await page.evaluate(() => document.querySelector('main')?.append(new Image()))
    expect((await violations(page)).map((line) => line.split(':')[0])).toEqual(['image-alt'])
  })
})
