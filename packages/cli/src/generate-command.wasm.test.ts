import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { printed } from '@mneme/testing/printed'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type GenerateFlags, generateCommand } from './generate-command.js'
import { trainCommand } from './train-command.js'

const checkpoint = fileURLToPath(new URL('../../../fixtures/goldens/hf-llama', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'mneme-generate-'))
const run = join(folder, 'run')
afterAll(() => rmSync(folder, { recursive: true }))

const settings = { maxNewTokens: 6, temperature: 1, topK: 0, topP: 1, repetitionPenalty: 1, seed: 3, device: 'wasm' }
const flags: GenerateFlags = { ...settings, prompt: [], ids: [], json: true }
const generated = async (given: Partial<GenerateFlags>) => printed(() => generateCommand({ ...flags, ...given }))

describe('mneme generate from a checkpoint', () => {
  test('lists of ids are continued side by side as each alone, seeded by its place', async () => {
    const ids = ['1,2,3', '4', '5,6']
    const { prompts, report } = JSON.parse(await generated({ checkpoint, ids }))
    for (const [i, list] of ids.entries()) {
      const { ids: own, text } = JSON.parse(await generated({ checkpoint, ids: [list], seed: 3 + i }))
      expect(prompts[i]).toEqual({ prompt: null, ids: own, text })
      expect(own).toHaveLength(6)
    }
    expect(report).toMatchObject({ promptTokens: 6, completionTokens: 18 })
    expect(report.decodeTokensPerSecond).toBeGreaterThan(0)
  })

  test('text needs a tokenizer', async () => {
    await expect(generateCommand({ ...flags, checkpoint, prompt: ['Call me'] })).rejects.toThrow(
      'generate --checkpoint: expected --ids 1,2,3, since this folder has no tokenizer.json.',
    )
  })
})

describe('mneme generate from a run', () => {
  const lines = join(folder, 'prompts.txt')

  beforeAll(async () => {
    writeFileSync(lines, 'The whale\r\n\nI\n')
    const train = { config: ['dModel=8'], taskConfig: [], train: [], steps: 2, batch: 2, length: 8 }
    await printed(() => trainCommand({ ...train, out: run, device: 'wasm', json: true }))
  })

  test('one prompt is printed with what follows it', async () => {
    const text = await generated({ run, prompt: ['Call me'], json: false })
    const alone = JSON.parse(await generated({ run, prompt: ['Call me'] }))
    expect(text).toBe(`Call me${alone.text}\n`)
    expect(alone.report).toMatchObject({ promptTokens: 7, completionTokens: 6 })
  })

  test('several are printed apart: those of the flag, then the lines of the file', async () => {
    const all = await generated({ run, prompt: ['Call me'], prompts: lines, json: false })
    const texts = ['Call me', 'The whale', 'I']
    const alone = []
    for (const [i, prompt] of texts.entries()) {
      const { text } = JSON.parse(await generated({ run, prompt: [prompt], seed: 3 + i }))
      alone.push(`--- ${i + 1} of 3\n${prompt}${text}\n`)
    }
    expect(all).toBe(alone.join(''))
  })

  test('what cannot be is said, with its remedy', async () => {
    const refused = (given: Partial<GenerateFlags>) => expect(generateCommand({ ...flags, ...given })).rejects
    await refused({ run, prompt: ['a'], ids: ['1'] }).toThrow(/expected --ids, or texts .*, got both/)
    await refused({ run, ids: ['1,x'] }).toThrow(/--ids 1,x: expected whole numbers/)
    await refused({ run, ids: [''] }).toThrow(/expected whole numbers/)
    await refused({ run, prompts: join(folder, 'none') }).toThrow(/--prompts .*none: expected a file .* got ENOENT/)
    writeFileSync(join(folder, 'empty.txt'), '\n\n')
    await refused({ run, prompts: join(folder, 'empty.txt') }).toThrow(/expected one prompt a line, got none/)
    await refused({ prompt: ['a'] }).toThrow(/expected one of --run DIR .* and --checkpoint DIR/)
    await refused({ run: folder, prompt: ['a'] }).toThrow(/expected a run there, got none/)
  })
})
