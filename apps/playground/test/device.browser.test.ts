import { readFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { browsing, found, small } from './browse'

const { visit } = browsing()

describe.skipIf(!found)('this device', () => {
  test('WebAssembly: every kernel agrees, the report can be taken away, and runs go by the verdicts', async () => {
    const { page, complaints } = await visit(`view=device&${small}`, { viewport: { width: 390, height: 800 } })
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
    // a verdict that went the other way is heeded by the next run, and said
    await page.evaluate(async () => {
      const root = await navigator.storage.getDirectory()
      const folder = await root.getDirectoryHandle('mneme-selftest')
      for await (const [name, handle] of folder.entries()) {
        if (!name.startsWith('selftest-') || !(handle instanceof FileSystemFileHandle)) continue
        const kept = JSON.parse(await (await handle.getFile()).text())
        for (const one of kept.report.verdicts) if (one.op === 'minGru') one.verdict = 'differs'
        const file = await handle.createWritable()
        await file.write(JSON.stringify(kept))
        await file.close()
      }
    })
    await page.getByRole('link', { name: 'Train', exact: true }).click()
    await page.getByText(/failed their self-test here, and run by their references: minGru\.$/).waitFor()
    await page.getByText(/^Training, step [1-9]/).waitFor()
    expect(complaints).toEqual([])
  })
})
