import { describe, expect, test } from 'vitest'
import { lessons } from '../src/view/lessons/lessons'
import { browsing, found } from './browse'

const { visit } = browsing()

describe('the words of lessons', () => {
  test.each(lessons.map((lesson) => [lesson.key, lesson] as const))('%s: 150 to 300', (_, { before, after }) => {
    const words = [...before, ...after].join(' ').split(/\s+/).length
    expect(words).toBeGreaterThanOrEqual(150)
    expect(words).toBeLessThanOrEqual(300)
  })
})

describe.skipIf(!found)('lessons', () => {
  test('each computes its pictures, and leads to an experiment that the address can name', async () => {
    const { page, complaints } = await visit('view=lessons')
    for (const { title, experiment, sliders } of lessons) {
      await page.getByRole('link', { name: title, exact: true }).click()
      await page.getByRole('heading', { name: title, exact: true }).waitFor()
      await expect.poll(() => page.locator('.equation math').count()).toBeGreaterThan(0)
      await page.locator('.lesson-figures figure').nth(1).waitFor()
      const summary = page.locator('.summary')
      const before = await summary.textContent()
      await page.getByLabel(sliders[0]?.label ?? '').press('Home')
      await expect.poll(() => summary.textContent()).not.toBe(before)
      const link = page.getByRole('link', { name: experiment.title })
      await expect.poll(() => link.getAttribute('href')).toContain(`paper=${experiment.runs[0]?.paper}`)
      await page.getByRole('link', { name: 'All lessons' }).click()
    }
    expect(complaints).toEqual([])
  })

  test('a slider moves the picture: decay trades old pairs for new ones', async () => {
    const { page } = await visit('view=lessons/why-decay')
    const summary = page.locator('.summary')
    await summary.getByText('recalled').waitFor()
    const figures = async (): Promise<number[]> =>
      Array.from((await summary.textContent())?.matchAll(/-?\d\.\d\d/g) ?? [], ([n]) => Number(n))
    const [newest, oldest] = (await figures()) as [number, number]
    await page.getByLabel('Decay α').fill('0.9')
    await expect.poll(async () => (await figures())[0]).toBeGreaterThan(newest + 0.1)
    await expect.poll(async () => (await figures())[1]).toBeLessThan(oldest - 0.1)
  })

  test('the experiment of a lesson trains', async () => {
    const { page, complaints } = await visit('view=lessons/segment-memory')
    await page.getByRole('link', { name: /copy across segments/ }).click()
    await page.getByText(/^Training, step [1-9]/).waitFor()
    expect(complaints).toEqual([])
  })
})
