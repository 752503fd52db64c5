import { createModel, loadPaper } from '@mneme/models'
import { memory } from '@tensorflow/tfjs-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type BatchGenerateCall, BatchSession } from './batch-session.js'
import type { TokenModel } from './language-model.js'
import { type GenerateCall, Session } from './session.js'

const PROMPTS = [[3, 1, 4, 1, 5, 9, 2], [6], [2, 7, 1]]

/** Tokens of each row, and how many draws there were. */
async function drawn(batch: BatchSession, call: BatchGenerateCall): Promise<{ ids: number[][]; steps: number }> {
  const ids: number[][] = PROMPTS.map(() => [])
  let steps = 0
  for await (const draws of batch.generate(call)) {
    steps++
    for (const [row, draw] of draws.entries()) if (draw) ids[row]?.push(draw.id)
  }
  return { ids, steps }
}

async function alone(model: TokenModel, seed: number, call: GenerateCall): Promise<number[][]> {
  const found: number[][] = []
  for (const [row, prompt] of PROMPTS.entries()) {
    const session = new Session(model, { seed: seed + row })
    session.feed(prompt)
    const ids: number[] = []
    for await (const { id } of session.generate(call)) ids.push(id)
    found.push(ids)
    session.dispose()
  }
  return found
}

// padding stepped over by all rows at once, by each layer row by row, and by no layer
describe.each([
  { key: 'min-rnn', state: 'padded' },
  { key: 'transformer-xl', state: 'exact' },
  { key: 'min-rnn', state: 'exact', refuses: true },
])('BatchSession with $key, refusing: $refuses', ({ key, state, refuses = false }) => {
  let model: TokenModel
  beforeAll(async () => {
    model = await createModel(key, (await loadPaper(key)).tiny)
    if (refuses) Object.defineProperty(model, 'traits', { value: { ...model.traits, padding: false } })
  })
  afterAll(() => model.dispose())

  test('draws what each prompt draws alone, whatever the pieces it is read in', async () => {
    const call = { maxNewTokens: 8, repetitionPenalty: 1.3, topP: 0.9 }
    const expected = await alone(model, 5, call)
    for (const prefillChunk of [1, 2, 256]) {
      const batch = new BatchSession(model, PROMPTS, { seed: 5, prefillChunk })
      expect((await drawn(batch, call)).ids).toEqual(expected)
      batch.dispose()
    }
  })

  test('a row ends at its own stop token, the others go on', async () => {
    const [first] = await alone(model, 0, { maxNewTokens: 8 })
    const call = { maxNewTokens: 8, stop: [first?.[2] as number] }
    const expected = await alone(model, 0, call)
    const batch = new BatchSession(model, PROMPTS)
    const { ids, steps } = await drawn(batch, call)
    expect(ids).toEqual(expected)
    expect(ids[0]?.length).toBeLessThanOrEqual(3)
    expect(steps).toBe(Math.max(...expected.map(({ length }) => length)))
    batch.dispose()
  })

  test('leaves no tensor behind, and its state is that of its rows', async () => {
    const before = memory().numTensors
    const batch = new BatchSession(model, PROMPTS)
    await drawn(batch, { maxNewTokens: 3 })
    const rows = PROMPTS.map(({ length }) => model.stateBytes(length + 3))
    if (state === 'exact') expect(batch.stateBytes).toBe(rows.reduce((total, bytes) => total + bytes))
    else expect(batch.stateBytes).toBeGreaterThanOrEqual(Math.max(...rows) * PROMPTS.length)
    batch.dispose()
    expect(memory().numTensors).toBe(before)
  })

  test('an aborted signal ends it; missing prompts and unknown tokens are refused', async () => {
    const stop = new AbortController()
    const batch = new BatchSession(model, PROMPTS)
    let draws = 0
    for await (const _ of batch.generate({ signal: stop.signal })) if (++draws === 2) stop.abort()
    expect(draws).toBe(2)
    batch.dispose()
    expect(() => new BatchSession(model, [])).toThrow('expected prompts of one token or more, got none')
    expect(() => new BatchSession(model, [[1], []])).toThrow('got an empty one')
    expect(() => new BatchSession(model, [[1], [999]])).toThrow(/expected token ids in \[0, .*got 999/)
  })
})
