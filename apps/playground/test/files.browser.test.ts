import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { crc32 } from 'node:zlib'
import type { Page } from 'playwright-core'
import { afterAll, describe, expect, test, vi } from 'vitest'
import { scriptOf } from '../src/view/files/script'
import { zip } from '../src/view/files/zip'
import { browsing, found, small } from './browse'

const { visit } = browsing()
const folder = mkdtempSync(join(tmpdir(), 'mneme-files-'))
// inside node_modules, so that packages are found from there
const scratch = fileURLToPath(new URL('../../../node_modules/.mneme-script', import.meta.url))
afterAll(() => {
  rmSync(folder, { recursive: true })
  rmSync(scratch, { recursive: true, force: true })
})

interface Unpacked {
  readonly name: string
  readonly bytes: Buffer
}

/** Files of an archive of stored files, read by its directory at the end, as unzip does. */
function unzipped(archive: Buffer): Unpacked[] {
  const end = archive.lastIndexOf(Buffer.from([0x50, 0x4b, 5, 6]))
  const files: Unpacked[] = []
  let at = archive.readUInt32LE(end + 16)
  for (let i = 0; i < archive.readUInt16LE(end + 10); i++) {
    expect(archive.readUInt32LE(at)).toBe(0x02014b50)
    const [size, nameLength, local] = [
      archive.readUInt32LE(at + 20),
      archive.readUInt16LE(at + 28),
      archive.readUInt32LE(at + 42),
    ]
    const name = archive.toString('utf8', at + 46, at + 46 + nameLength)
    expect(archive.readUInt32LE(local)).toBe(0x04034b50)
    const begin = local + 30 + archive.readUInt16LE(local + 26)
    const bytes = archive.subarray(begin, begin + size)
    expect(archive.readUInt32LE(at + 16)).toBe(crc32(bytes))
    files.push({ name, bytes })
    at += 46 + nameLength
  }
  return files
}

async function downloaded(page: Page): Promise<Unpacked[]> {
  const taken = page.waitForEvent('download')
  await page.getByRole('button', { name: 'Download the model' }).click()
  return unzipped(readFileSync(await (await taken).path()))
}

function onDisk(name: string, files: readonly Unpacked[]): string[] {
  mkdirSync(join(folder, name), { recursive: true })
  return files.map((file) => {
    const path = join(folder, name, file.name.split('/').at(-1) ?? '')
    writeFileSync(path, file.bytes)
    return path
  })
}

describe('an archive', () => {
  test('of no files, of an empty one, and of names that are not ASCII', async () => {
    const bytes = new TextEncoder().encode('weights')
    const entries = [
      { name: 'a/ü.txt', bytes },
      { name: 'empty', bytes: new Uint8Array() },
    ]
    const files = unzipped(Buffer.from(await zip(entries).arrayBuffer()))
    expect(files.map(({ name, bytes: b }) => [name, b.toString()])).toEqual([
      ['a/ü.txt', 'weights'],
      ['empty', ''],
    ])
    expect(unzipped(Buffer.from(await zip([]).arrayBuffer()))).toEqual([])
  })
})

describe('the exported script', () => {
  test('trains the experiment in Node', async () => {
    const experiment = {
      paper: 'min-rnn',
      config: { dModel: 8, nLayers: 1 },
      task: 'selective-copying',
      taskConfig: { vocab: 6, length: 14, data: 3 },
      train: { steps: 4, batch: 2, evalEvery: 2, evalBatches: 1 },
      seed: 0,
    }
    mkdirSync(scratch, { recursive: true })
    const path = join(scratch, 'train.ts')
    writeFileSync(path, scriptOf(experiment))
    const said: string[] = []
    const log = vi.spyOn(console, 'log').mockImplementation((line: string) => void said.push(line))
    try {
      await import(/* @vite-ignore */ path)
    } finally {
      log.mockRestore()
    }
    expect(said[0]).toMatch(/^min-rnn on selective-copying: \d+ parameters$/)
    expect(said.slice(1).map((line) => line.replace(/:.*/, ''))).toEqual(['step 2', 'step 4'])
  })
})

describe.skipIf(!found)('files', () => {
  test('a run is taken away, opened again, writes and is looked into', async () => {
    const { page, complaints } = await visit(small)
    await page.getByText(/^Training, step \d{2,}/).waitFor()
    await page.getByRole('link', { name: 'Files', exact: true }).click()
    const files = await downloaded(page)
    await page.getByText('in the published layout').waitFor()
    const names = files.map(({ name }) => name.split('/')[1])
    expect(names).toEqual(['config.json', 'experiment.json', 'model.safetensors'])
    await page.getByLabel('files', { exact: true }).setInputFiles(onDisk('own', files))
    await page.getByText('Were RNNs All We Needed?').waitFor()
    await page.getByText(/Every tensor was found, none was left over/).waitFor()
    await expect.poll(() => page.getByRole('row', { name: /^embedding.weight \[\d+, 16\]/ }).count()).toBe(1)
    await page.getByLabel('Prompt').fill('whale')
    await page.getByRole('button', { name: 'Write' }).click()
    await page.getByText(/^200 tokens, [\d,]+ a second/).waitFor()
    expect((await page.locator('.continued').textContent())?.length).toBeGreaterThan(100)
    await page.getByLabel('Text to read').fill('whale')
    await page.getByRole('button', { name: 'Look', exact: true }).click()
    await page.getByRole('img', { name: /linear scan, channel 1: 5 by 5/ }).waitFor()
    expect(complaints).toEqual([])
  })

  test('a paper without a published layout makes the same journey in our own', async () => {
    const { page, complaints } = await visit(
      'paper=latte&config.dModel=16&config.nLayers=1&task=selective-copying&task.length=14&task.data=3&task.vocab=6',
    )
    await page.getByText(/^Training, step [1-9]/).waitFor()
    await page.getByRole('link', { name: 'Files', exact: true }).click()
    const files = await downloaded(page)
    expect(files.map(({ name }) => name.split('/')[1])).toEqual(['experiment.json', 'model.safetensors'])
    await page.getByLabel('files', { exact: true }).setInputFiles(onDisk('latte', files))
    await page.getByText(/It is in the layout of this project/).waitFor()
    expect(complaints).toEqual([])
  })

  test('a folder is dropped on the page, as it lies on the disk', async () => {
    const { page, context, complaints } = await visit('view=files')
    const box = await page.getByRole('group', { name: 'Files of a checkpoint' }).boundingBox()
    if (box === null) throw new Error('there is nothing to drop on')
    const at = { x: box.x + box.width / 2, y: box.y + box.height / 2 }
    const data = { items: [], files: [join(folder, 'own')], dragOperationsMask: 1 }
    const session = await context.newCDPSession(page)
    for (const type of ['dragEnter', 'dragOver', 'drop'] as const) {
      await session.send('Input.dispatchDragEvent', { type, ...at, data })
    }
    await page.getByText(/Every tensor was found, none was left over/).waitFor()
    expect(complaints).toEqual([])
  })

  test('what does not fit is listed as it is', async () => {
    const { page, complaints } = await visit('view=files')
    const config = join(folder, 'config.json')
    writeFileSync(config, JSON.stringify({ model_type: 'mamba9' }))
    const input = page.getByLabel('files', { exact: true })
    await input.setInputFiles([config])
    await page.getByText(/no such model_type 'mamba9'\. Did you mean 'mamba2?'/).waitFor()
    const [own = '', , tensors = ''] = ['config.json', 'experiment.json', 'model.safetensors'].map((name) =>
      join(folder, 'own', name),
    )
    const changed = JSON.parse(readFileSync(own, 'utf8'))
    writeFileSync(config, JSON.stringify({ ...changed, depth: 2 }))
    await input.setInputFiles([config, tensors])
    await page.getByText(/the tensors do not fit what config\.json describes\.\n {2}missing /).waitFor()
    expect(complaints).toEqual([])
  })
})
