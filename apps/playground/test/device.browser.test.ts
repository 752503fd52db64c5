import { readFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { browsing, found } from './browse'

const { visit } = browsing()

describe.skipIf(!found)('this device', () => {
  test('WebAssembly: every kernel agrees, and the report can be taken away', async () => {
    const { page, complaints } = await visit('view=device', { viewport: { width: 390, height: 800 } })
    // the list of views is wider than a phone, and shows the one that is open
    const current = page.locator('.views [aria-current]')
    await expect.poll(async () => (await current.boundingBox())?.x).toBeLessThan(390 - 40)
    const part = page.getByRole('region', { name: 'WebAssembly', exact: true })
    await part.getByText(/^(\d+) of \1 kernels agree, none fell back; [\d,]+ ms\.$/).waitFor()
    await expect.poll(() => part.getByRole('row', { name: /^deltaRule agrees/ }).count()).toBe(1)
    const taken = page.waitForEvent('download')
    await part.getByRole('button', { name: 'Download report' }).click()
    const report = JSON.parse(await readFile(await (await taken).path(), 'utf8'))
    expect(report.selfTest.backend).toBe('wasm')
    expect(report.selfTest.verdicts.length).toBeGreaterThan(20)
    const plain = page.getByRole('region', { name: 'Plain JavaScript' })
    await plain.getByRole('button', { name: 'Run the self-test' }).click()
    await plain.getByText(/^0 of 0 kernels agree/).waitFor()
    expect(complaints).toEqual([])
  })
})
