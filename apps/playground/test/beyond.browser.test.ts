import { describe, expect, test } from 'vitest'
import { browsing, found } from './browse'

const { visit } = browsing()

const run = (paper: string, prefix = ''): string =>
  `paper=${paper}&config.dModel=16&config.nLayers=1&task=mqar&task.length=16&task.pairs=2&task.vocab=16&train.steps=30`
    .split('&')
    .map((part) => prefix + part)
    .join('&')

const cells = (texts: readonly string[]): number[] => texts.map((text) => Number.parseFloat(text.replaceAll(',', '')))

describe.skipIf(!found)('beyond the training length', () => {
  test('a constant state stays as it is over 64 times the length, attention’s grows, and both are drawn', async () => {
    const { page, complaints } = await visit(`view=beyond&times=64&${run('min-rnn')}&${run('transformer', 'b.')}`)
    await page.getByRole('button', { name: 'Evaluate' }).click()
    await page
      .getByText(/is done: the model of step \d+/)
      .nth(1)
      .waitFor()
    const column = async (letter: string, at: number): Promise<string[]> =>
      page
        .getByRole('table', { name: `Run ${letter} beyond` })
        .locator(`tbody td:nth-child(${at})`)
        .allTextContents()
    expect(cells(await column('A', 2))).toEqual([1, 2, 4, 8, 16, 32, 64])
    expect(new Set(await column('A', 6)).size).toBe(1)
    const grown = await column('B', 6)
    expect(grown[0]).toBe('4.0 KB')
    expect(grown.at(-1)).toBe('256.0 KB')
    for (const share of cells(await column('A', 4))) expect(share >= 0 && share <= 100).toBe(true)
    // short rows are read in more batches, so that the share is of many answers
    expect(cells(await column('A', 3))[0]).toBe(16 * 8 * 2)
    for (const held of cells(await column('A', 8))) expect(held).toBeGreaterThan(0)
    for (const time of cells(await column('A', 9))) expect(time).toBeGreaterThan(0)
    for (const name of ['Accuracy', 'State of a row', 'Tensors alive', 'Memory held', 'Time per token']) {
      await page.getByRole('img', { name: new RegExp(`^${name} against tokens.*run B`) }).waitFor()
    }
    expect(complaints).toEqual([])
  })

  test('the slider is moved by the keyboard, the address follows, and stop ends it', async () => {
    const { page, complaints } = await visit(`view=beyond&times=500&${run('min-rnn')}`)
    const slider = page.getByRole('slider')
    await slider.focus()
    await page.keyboard.press('End')
    await page.getByText('Up to 1,000 times the training length: 16,000 tokens').waitFor()
    await expect.poll(() => page.url()).toContain('times=1000')
    await page.getByRole('button', { name: 'Evaluate' }).click()
    await page.getByRole('table', { name: 'Run A beyond' }).waitFor()
    await page.getByRole('button', { name: 'Stop', exact: true }).click()
    await page.getByText(/was stopped: the model of step \d+/).waitFor()
    expect(complaints).toEqual([])
  })
})
