import type { TokenModel } from '@mneme/core-tensor'
import { within } from '@mneme/testing/subject'
import { describe, expect, test } from 'vitest'
import { loadPaper, paperKeys } from './registry.js'

type Architecture = (config?: object) => TokenModel

/** A paper's architecture is a function of its name: `minRnn` of `min-rnn`. */
async function architectureOf(key: string): Promise<Architecture> {
  const name = key.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase())
  const module = (await import(`./${key}.ts`)) as Record<string, unknown>
  expect(module[name], `${key}: an export ${name}`).toBeTypeOf('function')
  return module[name] as Architecture
}

describe('the architecture of a paper, without its card and layout', () => {
  for (const key of paperKeys) {
    test(`${key} is what the paper builds`, async () => {
      const [paper, architecture] = [await loadPaper(key), await architectureOf(key)]
      await within(async () => {
        const [ours, expected] = [architecture(paper.tiny), paper.build(paper.tiny)]
        expect(await ours.stateDict()).toEqual(await expected.stateDict())
        ours.dispose()
        expected.dispose()
      })
      expect(() => architecture({ dModle: 8 })).toThrow(/no such key 'dModle'/)
    })
  }

  test('what is not given is the default', async () => {
    const [{ config }, minRnn] = [await loadPaper('min-rnn'), await architectureOf('min-rnn')]
    await within(async () => {
      const model = minRnn({ vocabulary: 11 })
      const paths = Object.entries(await model.stateDict())
      expect(paths[0]?.[1].shape).toEqual([11, (config as unknown as { dModel: number }).dModel])
      model.dispose()
    })
  })
})
