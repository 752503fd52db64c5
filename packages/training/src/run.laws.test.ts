import { memoryStore } from '@mneme/core-tensor/io/store'
import { loadPaper } from '@mneme/models'
import { loadTask } from '@mneme/tasks'
import { memory, tensor } from '@tensorflow/tfjs-core'
import { expect, test } from 'vitest'
import {
  type Catalogue,
  loadRun,
  NonFiniteError,
  Run,
  type RunSnapshot,
  readRunFile,
  resolveExperiment,
  runFile,
  train,
  writeRunFile,
} from './index.js'

const catalogue: Catalogue = { loadPaper, loadTask: loadTask as Catalogue['loadTask'] }
const small = { dModel: 4, nLayers: 1, ffMult: 1 }
const novel = { paper: 'min-rnn', config: small, task: 'novel', seed: 3 }
const settings = { steps: 6, batch: 2, length: 4, evalEvery: 0, evalBatches: 1, lr: 1e-2, warmup: 2 }

const start = async (experiment: object): Promise<Run> => Run.create(await resolveExperiment(experiment, catalogue))

async function losses(run: Run, steps: number): Promise<number[]> {
  const found: number[] = []
  for (let i = 0; i < steps; i++) found.push((await run.advance()).loss)
  return found
}

const values = ({ tensors }: RunSnapshot): Record<string, Float32Array> =>
  Object.fromEntries(Object.entries(tensors).map(([name, t]) => [name, t.values]))

test('a run resumed from a file goes on bit for bit: losses, parameters, moments, carried state, data', async () => {
  for (const accumulate of [1, 2]) {
    const experiment = { ...novel, train: { ...settings, accumulate } }
    const whole = await start(experiment)
    const before = await losses(whole, 3)
    const file = writeRunFile(await whole.snapshot())
    const after = await losses(whole, 3)
    const end = await whole.snapshot()

    const resumed = await start(readRunFile(file).experiment)
    resumed.restore(readRunFile(file))
    expect(resumed.step).toBe(3)
    expect(await losses(resumed, 3)).toEqual(after)
    const resumedEnd = await resumed.snapshot()
    expect(values(resumedEnd)).toEqual(values(end))
    expect(resumedEnd.state).toEqual(end.state)
    expect(resumedEnd.cursor).toEqual(end.cursor)
    expect(after).not.toEqual(before)
    whole.dispose()
    resumed.dispose()
  }
})

test('state is carried where rows go on: the same data gives other losses without it', async () => {
  const carried = await start({ ...novel, train: settings })
  const apart = await start({ ...novel, train: { ...settings, carryState: false } })
  const [a, b] = [await losses(carried, 3), await losses(apart, 3)]
  expect(a[0]).toBe(b[0])
  expect(a[1]).not.toBe(b[1])
  carried.dispose()
  apart.dispose()
})

test('a state that grows with every token is not carried, in training or evaluation', async () => {
  const grows = { ...novel, paper: 'transformer', config: { dModel: 8, nLayers: 1, nHeads: 2, nKvHeads: 1, dHead: 4 } }
  const run = await start({ ...grows, train: settings })
  const apart = await start({ ...grows, train: { ...settings, carryState: false } })
  expect(await losses(run, 3)).toEqual(await losses(apart, 3))
  expect((await run.snapshot()).state).toEqual((await apart.snapshot()).state)
  expect(await run.evaluate()).toEqual(await apart.evaluate())
  run.dispose()
  apart.dispose()
})

test('numbers that are not finite stop the run, name the place, and leave the last good checkpoint', async () => {
  const store = memoryStore()
  const run = await start({ ...novel, train: { ...settings, checkpointEvery: 2 } })
  const events: string[] = []
  const consume = async (): Promise<void> => {
    for await (const event of train(run, { store })) {
      events.push(event.type)
      if (event.type === 'checkpoint') {
        const [path, poisoned] = [...run.model.namedParameters()].find(([name]) => name.includes('outProj')) ?? []
        expect(path).toBe('body.layers.0.mixer.outProj.weight')
        const nan = tensor(new Float32Array(poisoned?.size ?? 0).fill(Number.NaN), poisoned?.shape)
        poisoned?.assign(nan)
        nan.dispose()
      }
    }
  }
  await expect(consume()).rejects.toThrow(NonFiniteError)
  await expect(start({ ...novel, train: settings })).resolves.toBeDefined()
  expect(events).toEqual(['step', 'step', 'checkpoint'])
  const saved = await loadRun(store)
  expect(saved?.step).toBe(2)
  expect(Object.values(values(saved as RunSnapshot)).every((v) => v.every(Number.isFinite))).toBe(true)
  run.dispose()
})

test.each([
  ['weights that are no numbers', Number.NaN, "parameter 'body.layers.1.mixer.outProj.weight'"],
  ['weights so large that a product overflows', 1e38, "the output of 'body.layers.1.mixer.outProj'"],
])('%s are caught at their step, and the layer is named', async (_, value, where) => {
  const run = await start({ ...novel, config: { ...small, nLayers: 3 }, train: settings })
  await losses(run, 2)
  const [, weight] =
    [...run.model.namedParameters()].find(([name]) => name === 'body.layers.1.mixer.outProj.weight') ?? []
  const poison = tensor(new Float32Array(weight?.size ?? 0).fill(value), weight?.shape)
  weight?.assign(poison)
  poison.dispose()
  const live = memory().numTensors
  const error: unknown = await run.advance().catch((e: unknown) => e)
  expect(error).toBeInstanceOf(NonFiniteError)
  expect(error).toMatchObject({ step: 3, where })
  expect(memory().numTensors).toBe(live)
  run.dispose()
})

test('an aborted run is saved after the step that was under way', async () => {
  const store = memoryStore()
  const run = await start({ ...novel, train: settings })
  const abort = new AbortController()
  for await (const event of train(run, { store, signal: abort.signal }))
    if (event.type === 'step' && event.step === 2) abort.abort()
  expect((await loadRun(store))?.step).toBe(2)
  expect(await store.list()).toEqual([runFile])
  run.dispose()
})

test('gradients of several batches are averaged before one step', async () => {
  const run = await start({ ...novel, train: { ...settings, accumulate: 3 } })
  const report = await run.advance()
  expect(report.step).toBe(1)
  expect(run.tokensSeen).toBe(3 * 2 * 4)
  run.dispose()
})

test('evaluation looks at the same batches every time and changes nothing', async () => {
  const run = await start({ ...novel, train: settings })
  const before = memory().numTensors
  const once = await run.evaluate({ batches: 2 })
  expect(await run.evaluate({ batches: 2 })).toEqual(once)
  expect(memory().numTensors).toBe(before)
  expect(once.lossNats).toBeGreaterThan(3)
  run.dispose()
})

test('an evaluation is told apart by distance where the task knows it, else by place, and the parts add up', async () => {
  const cases = [
    { task: 'mqar', taskConfig: { vocab: 16, length: 16, pairs: 2 }, of: 'distance' },
    { task: 'novel', taskConfig: {}, of: 'position' },
  ]
  for (const { of, ...task } of cases) {
    const run = await start({ ...novel, ...task, train: { ...settings, length: 16, batch: 4 } })
    const { by, lossNats, tokenAcc } = await run.evaluate({ batches: 3 })
    expect(by.of).toBe(of)
    const positions = by.spans.reduce((sum, span) => sum + span.positions, 0)
    const mean = (key: 'lossNats' | 'tokenAcc'): number =>
      by.spans.reduce((sum, span) => sum + span[key] * span.positions, 0) / positions
    expect(mean('lossNats')).toBeCloseTo(lossNats, 6)
    expect(mean('tokenAcc')).toBeCloseTo(tokenAcc, 6)
    if (of === 'position') expect(by.spans.map(({ from, to }) => [from, to])[4]).toEqual([16, 31])
    run.dispose()
  }
})

test('mistakes in an experiment are named, with what was meant', async () => {
  const failure = (experiment: object): Promise<unknown> => resolveExperiment(experiment, catalogue)
  await expect(failure({ paper: 'min-rn' })).rejects.toThrow("no such paper 'min-rn'. Did you mean 'min-rnn'?")
  await expect(failure({ task: 'novl' })).rejects.toThrow("Did you mean 'novel'?")
  await expect(failure({ config: { dmodel: 3 } })).rejects.toThrow(
    "experiment.config: no such key 'dmodel'. Did you mean 'dModel'?",
  )
  await expect(failure({ train: { step: 3 } })).rejects.toThrow("Did you mean 'steps'?")
  await expect(failure({ train: { steps: 0 } })).rejects.toThrow(
    'experiment.train.steps: expected a whole number, at least 1, got 0.',
  )
  await expect(failure({ train: { lr: 'fast' } })).rejects.toThrow(
    'experiment.train.lr: expected number, got string "fast".',
  )
})

test('a model that looks both ways is refused where the next token is asked for, and trains where answers are marked', async () => {
  const config = { dModel: 8, nLayers: 1, nHeads: 2, dInner: 8 }
  await expect(start({ paper: 'bert', config, task: 'novel', train: settings })).rejects.toThrow(
    /'novel' asks for the next token, got 'bert', which looks both ways/,
  )
  const run = await start({ paper: 'bert', config, task: 'selective-copying', train: { ...settings, length: 0 } })
  expect((await run.advance()).loss).toBeGreaterThan(0)
  run.dispose()
})
