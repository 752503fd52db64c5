#!/usr/bin/env node
// Takes the pictures of the README: four runs at equal state, trained to their end in headless Chromium.
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright-core'
import { serve } from './server.mjs'

const folder = fileURLToPath(new URL('../../docs/images/', import.meta.url))
const preset = 'Recall at equal state'
const runs = 4
const patienceMs = 15 * 60_000

const server = await serve({ port: 0 })
const browser = await chromium.launch({
  executablePath: process.env.MNEME_CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox'],
})
try {
  const page = await browser.newPage({ viewport: { width: 1440, height: 900 } })
  await page.goto(`${server.url}/#view=experiments`)
  await page.getByRole('link', { name: preset }).click()
  await page
    .getByText(/^Finished, step/)
    .nth(runs - 1)
    .waitFor({ timeout: patienceMs })
  for (const colorScheme of /** @type {const} */ (['light', 'dark'])) {
    await page.emulateMedia({ colorScheme })
    // the chart is drawn again in the other colours
    await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))))
    const path = `${folder}playground-${colorScheme}.png`
    await page.screenshot({ path })
    console.log(path)
  }
} finally {
  await browser.close()
  await server.close()
}
