import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test, vi } from 'vitest'
import { program } from './main.js'
import { report } from './report.js'

const folder = mkdtempSync(join(tmpdir(), 'mneme-usage-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** What is said of a command that cannot be run. */
async function refusal(...args: readonly string[]): Promise<string> {
  let said = ''
  const write = vi.spyOn(process.stderr, 'write').mockImplementation((piece) => {
    said += piece
    return true
  })
  try {
    await program(() => undefined).parseAsync([...args], { from: 'user' })
  } catch (error) {
    said += (error as Error).message
  } finally {
    write.mockRestore()
  }
  return said
}

describe('what cannot be run is said, with its remedy', () => {
  test.each([
    ['generate', '--run', folder, '-n', '0'],
    ['eval', folder, '--batches', '0'],
    ['eval', folder, '--length', '64,0'],
    ['logits', '--checkpoint', folder, '--ids', '1', '--top', '-1'],
  ])('%s: a count is 1 or more', async (...args) => {
    expect(await refusal(...args)).toMatch(/is invalid\. Expected 1 or more\./)
  })

  test('a folder that is no checkpoint', async () => {
    const told = /--checkpoint .*: expected a folder with config\.json and safetensors, got/
    expect(await refusal('logits', '--checkpoint', folder, '--ids', '1')).toMatch(told)
    expect(await refusal('generate', '--checkpoint', join(folder, 'none'), '--ids', '1')).toMatch(/got no such folder/)
  })

  test('an empty prompt', async () => {
    expect(await refusal('generate', '--run', folder, '--prompt', '')).toMatch(
      /--prompt: expected a text, got an empty/,
    )
  })

  test('a folder that has a run is not written over', async () => {
    writeFileSync(join(folder, 'run.safetensors'), '')
    const told = await refusal('train', '--steps', '1', '--device', 'cpu', '-o', folder)
    expect(told).toMatch(/--out .*: expected a folder without a run, got one with a run\. Go on with --resume/)
  })

  test.runIf(process.platform === 'linux')('a folder that cannot be made', async () => {
    const told = await refusal('train', '--steps', '1', '--device', 'cpu', '-o', '/proc/none')
    expect(told).toMatch(/--out: expected a folder that is there or can be made, got \/proc\/none \(.*\)\. Name one/)
  })

  test('tables that could not be written, before anything is timed', async () => {
    const told = await refusal('bench', '--write', join(folder, 'none', 'tables.md'))
    expect(told).toMatch(/--write .*: expected a file in a folder that exists/)
  })
})

describe('what is printed of an error', () => {
  test('what the system refuses is told in a sentence, of its own or as the cause of another', async () => {
    const refused = await readFile(join(folder, 'none')).catch((error: Error) => error)
    expect(report(refused)).toEqual({ text: (refused as Error).message, code: 1 })
    expect(report(new Error('could not write it.', { cause: refused }))).toEqual({
      text: 'could not write it.',
      code: 1,
    })
  })

  test('a mistake of the caller is told in a sentence, and a fault of ours keeps its stack', () => {
    expect(report(new RangeError('expected 1, got 2.'))).toEqual({ text: 'expected 1, got 2.', code: 2 })
    expect(report(new Error('ours', { cause: new Error('deeper') })).text).toMatch(/Error: ours\n {4}at /)
  })
})
