import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { Claim, ClaimRun, RunResult } from './claim.js'
import { runClaim } from './runner.js'

const run = (label: string, nLayers: number): ClaimRun => ({
  label,
  paper: 'min-rnn',
  config: { dModel: 4, nLayers },
  task: 'copying',
  taskConfig: { length: 16, data: 2 },
  train: { steps: 3, batch: 2, evalEvery: 0, evalBatches: 1 },
})

const small: Claim = {
  key: 'small',
  papers: ['min-rnn'],
  title: 'Small',
  sentence: 'Two layers copy no worse than one.',
  setting: 'Three steps.',
  measure: 'tokenAcc',
  seeds: [0, 1],
  equal: null,
  runs: [run('one', 1), { ...run('two', 2), testLength: 32 }],
  verdict: (row) => ({ pass: row('two').median >= row('one').median, because: 'no reason' }),
}

test('what is finished is not run again, what is not is', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'mneme-claims-'))
  const abort = new AbortController()
  const seen: string[] = []
  const onResult = ({ label, seed }: RunResult): void => {
    seen.push(`${label} ${seed}`)
    if (seen.length === 2) abort.abort()
  }
  const first = await runClaim(small, { folder, signal: abort.signal, onResult })
  expect(seen).toEqual(['one 0', 'two 0'])
  const second = await runClaim(small, { folder, onResult })
  expect(seen).toEqual(['one 0', 'two 0', 'one 1', 'two 1'])
  expect(second.slice(0, 2)).toEqual(first)
  expect(await runClaim(small, { folder, onResult })).toEqual(second)
  expect(seen).toHaveLength(4)
  expect(second.map(({ tokens }) => tokens)).toEqual([96, 96, 96, 96])
  await rm(folder, { recursive: true })
})

test('the same experiment gives the same figures, whatever ran before', async () => {
  const folders = await Promise.all([0, 1].map(() => mkdtemp(join(tmpdir(), 'mneme-claims-'))))
  const figures: object[] = []
  for (const folder of folders) {
    const results = await runClaim(small, { folder })
    figures.push(results.map(({ seconds: _, ...rest }) => rest))
    await rm(folder, { recursive: true })
  }
  expect(figures[1]).toEqual(figures[0])
})

test('lines that are only judged otherwise share their training; of several rates the better is kept', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'mneme-claims-'))
  const short = { ...run('short', 1), rates: [1e-9, 1e-2], train: { ...run('', 1).train, steps: 40 } }
  const claim = { ...small, seeds: [0], runs: [short, { ...short, label: 'long', testLength: 4000, testRows: 3 }] }
  const seconds: number[] = []
  const results = await runClaim(claim, { folder, onResult: (result) => seconds.push(result.seconds) })
  expect(results.map(({ lr }) => lr)).toEqual([1e-2, 1e-2])
  expect(seconds[0]).toBe(seconds[1])
  expect(results[1]?.lossNats).not.toBe(results[0]?.lossNats)
  await rm(folder, { recursive: true })
})

test('trained weights may be read by another configuration, and the bytes of a step measured', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'mneme-claims-'))
  const model = { dModel: 8, nLayers: 1, nHeads: 2, nKvHeads: 2, dHead: 4, dInner: 8 }
  const trained: ClaimRun = { ...run('as trained', 1), paper: 'transformer', config: model, profiled: true }
  const reads = (label: string, config: object): ClaimRun => ({
    ...trained,
    label,
    readBy: { paper: 'tova', config: { ...model, ...config } },
  })
  const runs = [trained, reads('all keys', { policy: 'full' }), reads('two keys', { policy: 'window', capacity: 2 })]
  const results = await runClaim({ ...small, seeds: [0], runs }, { folder })
  const [own, full, few] = results as [RunResult, RunResult, RunResult]
  expect(full.lossNats).toBeCloseTo(own.lossNats, 5)
  expect(few.lossNats).not.toBeCloseTo(own.lossNats, 5)
  expect(few.stateBytes).toBeLessThan(own.stateBytes)
  expect(own.peakBytes).toBeGreaterThan(4 * own.parameters)
  await rm(folder, { recursive: true })
})

test('what another claim has run is not run again', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'mneme-claims-'))
  const first = await runClaim(small, { folder })
  const seen: string[] = []
  const again = await runClaim({ ...small, key: 'other' }, { folder, onResult: ({ label }) => seen.push(label) })
  expect(again).toEqual(first)
  expect(seen).toEqual([])
  await rm(folder, { recursive: true })
})

test('training goes on from the weights of another, where names agree', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'mneme-claims-'))
  const alone = { ...run('alone', 1), train: { ...run('', 1).train, steps: 40, lr: 1e-2 } }
  const after = { ...alone, label: 'after', startsFrom: { paper: 'min-rnn', config: alone.config } }
  const wider = { ...alone, label: 'after a wider one', startsFrom: { paper: 'min-rnn', config: { dModel: 6 } } }
  const results = await runClaim({ ...small, seeds: [0], runs: [alone, after] }, { folder })
  expect(results[1]?.lossNats).toBeLessThan(results[0]?.lossNats as number)
  await expect(runClaim({ ...small, seeds: [0], runs: [wider] }, { folder })).rejects.toThrow(/expected at least one/)
  await rm(folder, { recursive: true })
})
