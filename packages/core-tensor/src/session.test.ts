import { createModel, loadPaper } from '@mneme/models'
import { expectClose } from '@mneme/testing/tolerance'
import { memory } from '@tensorflow/tfjs-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { TokenModel } from './language-model.js'
import type { Sampled } from './sampling.js'
import { type GenerateCall, Session } from './session.js'

const PROMPT = [3, 1, 4, 1, 5, 9, 2, 6]

async function generated(session: Session, call: GenerateCall = {}): Promise<Sampled[]> {
  const tokens: Sampled[] = []
  for await (const token of session.generate({ maxNewTokens: 12, ...call })) tokens.push(token)
  return tokens
}

const ids = async (session: Session, call: GenerateCall = {}): Promise<number[]> =>
  (await generated(session, call)).map(({ id }) => id)

function prompted(model: TokenModel, seed = 1): Session {
  const session = new Session(model, { seed })
  session.feed(PROMPT)
  return session
}

describe.each(['min-rnn', 'transformer'])('Session with %s', (key) => {
  let model: TokenModel
  beforeAll(async () => {
    model = await createModel(key, (await loadPaper(key)).tiny)
  })
  afterAll(() => model.dispose())

  test('the same seed draws the same tokens, another seed others', async () => {
    const runs = await Promise.all(
      [1, 1, 2].map(async (seed) => {
        const session = prompted(model, seed)
        const tokens = await ids(session, { maxNewTokens: 30 })
        session.dispose()
        return tokens
      }),
    )
    expect(runs[1]).toEqual(runs[0])
    expect(runs[2]).not.toEqual(runs[0])
    for (const id of runs.flat()) expect(Number.isInteger(id) && id >= 0 && id < model.vocabulary).toBe(true)
  })

  test('a seed of the call overrides that of the session', async () => {
    const [a, b] = [prompted(model, 1), prompted(model, 2)]
    expect(await ids(a, { seed: 7 })).toEqual(await ids(b, { seed: 7 }))
    a.dispose()
    b.dispose()
  })

  test('a prompt in pieces of any size, and token by token, leaves the same scores', async () => {
    const whole = new Session(model)
    whole.feed(PROMPT)
    for (const prefillChunk of [1, 3, 8]) {
      const pieces = new Session(model, { prefillChunk })
      pieces.feed(PROMPT)
      expectClose(await pieces.nextScores(), await whole.nextScores(), 1e-5, `pieces of ${prefillChunk}`)
      expect(pieces.length).toBe(PROMPT.length)
      pieces.dispose()
    }
    whole.dispose()
  })

  test('generated tokens are context: feeding them by hand leaves the same scores', async () => {
    const [drawing, reading] = [prompted(model), prompted(model)]
    const tokens = await ids(drawing)
    reading.feed(tokens)
    expectClose(await drawing.nextScores(), await reading.nextScores(), 1e-5, 'scores')
    expect(drawing.length).toBe(PROMPT.length + tokens.length)
    drawing.dispose()
    reading.dispose()
  })

  test('log probabilities are those of the scores before the draw', async () => {
    const session = prompted(model)
    const scores = await session.nextScores()
    const [token] = await generated(session, { maxNewTokens: 1, temperature: 2 })
    const total = Math.log(scores.reduce((sum, s) => sum + Math.exp(s), 0))
    expect(token?.logProbability).toBeCloseTo((scores[token?.id ?? -1] as number) - total, 5)
    session.dispose()
  })

  test('a fork continues alike, and neither moves the other', async () => {
    const session = prompted(model)
    await ids(session, { maxNewTokens: 3 })
    const fork = session.fork()
    const before = await session.nextScores()
    const forked = await ids(fork)
    expect(await session.nextScores()).toEqual(before)
    expect(session.length).toBe(PROMPT.length + 3)
    expect(await ids(session)).toEqual(forked)
    fork.dispose()
    expect(await ids(session)).toHaveLength(12)
    session.dispose()
  })

  test('saved and restored in a fresh session, it continues identically', async () => {
    const session = prompted(model)
    await ids(session, { maxNewTokens: 3 })
    const saved = structuredClone(await session.save())
    const restored = Session.restore(model, saved)
    expect(await restored.nextScores()).toEqual(await session.nextScores())
    expect(restored.length).toBe(session.length)
    const call = { repetitionPenalty: 1.3, maxNewTokens: 20 }
    expect(await generated(restored, call)).toEqual(await generated(session, call))
    session.dispose()
    restored.dispose()
  })

  test('a stop token ends the draw and is still given', async () => {
    const session = prompted(model)
    const fork = session.fork()
    const tokens = await ids(fork)
    const stop = tokens[4] as number
    expect(await ids(session, { stop: [stop] })).toEqual(tokens.slice(0, tokens.indexOf(stop) + 1))
    session.dispose()
    fork.dispose()
  })

  test('an aborted signal ends the draw without an error', async () => {
    const session = prompted(model)
    expect(await ids(session, { signal: AbortSignal.abort() })).toEqual([])
    const abort = new AbortController()
    const onToken = ({ id }: Sampled): void => {
      seen.push(id)
      if (seen.length === 3) abort.abort()
    }
    const seen: number[] = []
    expect(await ids(session, { signal: abort.signal, onToken })).toEqual(seen)
    expect(seen).toHaveLength(3)
    expect(session.length).toBe(PROMPT.length + 3)
    session.dispose()
  })

  test('temperature 0 takes the largest score', async () => {
    const session = prompted(model)
    const scores = await session.nextScores()
    const [first] = await ids(session, { temperature: 0, maxNewTokens: 1 })
    expect(first).toBe(scores.indexOf(Math.max(...scores)))
    session.dispose()
  })

  test('ids outside the vocabulary are refused, and nothing of them is read', async () => {
    const session = prompted(model)
    const before = await session.nextScores()
    for (const id of [-1, model.vocabulary, 1.5, Number.NaN]) {
      expect(() => session.feed([0, id])).toThrow(
        `Session.feed: expected token ids in [0, ${model.vocabulary}), got ${id}.`,
      )
    }
    expect(session.length).toBe(PROMPT.length)
    expect(await session.nextScores()).toEqual(before)
    session.dispose()
  })

  test('settings are checked before the first token', async () => {
    const session = prompted(model)
    await expect(ids(session, { temperature: -1 })).rejects.toThrow(/temperature: expected/)
    await expect(ids(session, { topk: 3 } as GenerateCall)).rejects.toThrow(/Did you mean 'topK'/)
    expect(session.length).toBe(PROMPT.length)
    session.dispose()
  })

  test('without a prompt there is nothing to go on from', async () => {
    const session = new Session(model)
    await expect(session.nextScores()).rejects.toThrow(/expected a prompt first/)
    await expect(ids(session)).rejects.toThrow(/expected a prompt first/)
    session.dispose()
  })

  test('a disposed session says so, and may be disposed again', async () => {
    const session = prompted(model)
    session.dispose()
    session.dispose()
    const message = /this session is disposed/
    expect(() => session.feed([1])).toThrow(message)
    expect(() => session.fork()).toThrow(message)
    await expect(session.nextScores()).rejects.toThrow(message)
    await expect(session.save()).rejects.toThrow(message)
    await expect(ids(session)).rejects.toThrow(message)
  })

  test('once disposed, no tensor is left behind', async () => {
    const before = memory().numTensors
    const session = prompted(model)
    await ids(session, { maxNewTokens: 5 })
    const fork = session.fork()
    const restored = Session.restore(model, await fork.save())
    await ids(restored, { maxNewTokens: 2 })
    for (const s of [session, fork, restored]) s.dispose()
    expect(memory().numTensors).toBe(before)
  })

  test('tokens drawn one by one leave no more tensors than the state has', async () => {
    const session = prompted(model)
    await ids(session, { maxNewTokens: 2 })
    const before = memory().numTensors
    await ids(session, { maxNewTokens: 10 })
    expect(memory().numTensors).toBe(before)
    session.dispose()
  })

  test('the report counts prompt and completion', async () => {
    const session = prompted(model)
    await ids(session, { maxNewTokens: 5 })
    const report = session.report()
    expect(report).toMatchObject({ promptTokens: PROMPT.length, completionTokens: 5 })
    expect(report.prefillTokensPerSecond).toBeGreaterThan(0)
    expect(report.decodeTokensPerSecond).toBeGreaterThan(0)
    expect(report.stateBytes).toBe(model.stateBytes(PROMPT.length + 5))
    session.dispose()
  })
})

describe('state of a session', () => {
  const bytes = async (key: string, tokens: number): Promise<number> => {
    const model = await createModel(key, (await loadPaper(key)).tiny)
    const session = new Session(model)
    session.feed(Array.from({ length: tokens }, (_, i) => i % model.vocabulary))
    const { stateBytes } = session.report()
    session.dispose()
    model.dispose()
    return stateBytes
  }

  test('min-rnn: as many bytes after 2,000 tokens as after 100', async () => {
    expect(await bytes('min-rnn', 2000)).toBe(await bytes('min-rnn', 100))
  })

  test('transformer: twice the bytes after twice the tokens', async () => {
    expect(await bytes('transformer', 200)).toBe(2 * (await bytes('transformer', 100)))
  })
})
