import { fileURLToPath } from 'node:url'
import { goldens } from '@mneme/testing/goldens'
import { printed } from '@mneme/testing/printed'
import { expectClose } from '@mneme/testing/tolerance'
import { expect, test } from 'vitest'
import { logitsCommand } from './logits-command.js'

const checkpoint = fileURLToPath(new URL('../../../fixtures/goldens/hf-llama', import.meta.url))

test('mneme logits prints the scores of a published checkpoint', async () => {
  const expected = goldens()
    .find(({ name }) => name === 'hf-llama')
    ?.read('expected')
  const [given, scores] = [expected?.get('input_ids'), expected?.get('logits')]
  if (given === undefined || scores === undefined) throw new Error('expected the golden hf-llama among the fixtures')
  const [, T, V] = scores.shape as [number, number, number]
  const ids = Array.from(given.values.slice(0, T)).join(',')
  const flags = { checkpoint, ids, top: 2, device: 'wasm' }
  const all = JSON.parse(await printed(() => logitsCommand({ ...flags, json: true })))
  expect(all.shape).toEqual([T, V])
  expectClose(Float32Array.from(all.logits.flat()), scores.values.slice(0, T * V), 1e-5, 'logits')
  const lines = (await printed(() => logitsCommand({ ...flags, json: false }))).trim().split('\n')
  expect(lines.length).toBe(T)
  const last = all.logits.at(-1) as number[]
  expect(lines.at(-1)).toContain(`: ${last.indexOf(Math.max(...last))} (`)
  await expect(logitsCommand({ ...flags, ids: '1,-2', json: true })).rejects.toThrow(
    /expected ids in \[0, \d+\), got -2/,
  )
})
