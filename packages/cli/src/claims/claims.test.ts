import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { resolveExperiment } from '@mneme/training'
import { describe, expect, test } from 'vitest'
import { claimCommand } from '../claim-command.js'
import { catalogue } from '../settings.js'
import { type Claim, type ClaimRun, experimentOf, judge, median, type RunResult, rowsOf } from './claim.js'
import { page, standing } from './page.js'
import { picture } from './picture.js'
import { claims } from './registry.js'
import { hashOf, loadResults, saveResults } from './store.js'

/** Made-up results: every seed of a line gets the value of its label. */
function madeUp(claim: Claim, values: (run: ClaimRun, seed: number) => number): RunResult[] {
  return claim.seeds.flatMap((seed) =>
    claim.runs.map((run) => ({
      hash: hashOf(run, seed),
      label: run.label,
      seed,
      parameters: 1000,
      stateBytes: 256,
      tokens: 4096,
      seconds: 1.5,
      lossNats: 2,
      tokenAcc: 0.5,
      seqAcc: 0.25,
      peakBytes: 2 ** 20,
      [claim.measure]: values(run, seed),
    })),
  )
}

const named = (key: string): Claim => claims.find((claim) => claim.key === key) as Claim

/** Whether a claim passes at these values by label. */
function passes(key: string, values: Readonly<Record<string, number>>): boolean | undefined {
  const claim = named(key)
  const results = madeUp(claim, ({ label }) => values[label] ?? 0)
  return judge(claim, rowsOf(claim, results))?.pass
}

describe('verdicts on made-up results', () => {
  test('min-rnn: depth must help', () => {
    expect(passes('min-rnn', { '1 layer': 0.4, '2 layers': 0.9, '3 layers': 0.95 })).toBe(true)
    expect(passes('min-rnn', { '1 layer': 0.9, '2 layers': 0.9, '3 layers': 0.95 })).toBe(false)
    expect(passes('min-rnn', { '1 layer': 0.4, '2 layers': 0.9, '3 layers': 0.8 })).toBe(false)
  })

  test('min-rnn: one seed of two layers at the level of one layer is enough to fail', () => {
    const claim = named('min-rnn')
    const results = madeUp(claim, ({ label }, seed) =>
      label === '1 layer' || (label === '2 layers' && seed === 1) ? 0.4 : 0.9,
    )
    expect(judge(claim, rowsOf(claim, results))?.pass).toBe(false)
  })

  test('mqar-recall: delta rule, then gates, then vectors, attention on top', () => {
    const at = (width: number, delta: number, gla: number, rwkv: number): Record<string, number> => ({
      [`deltanet, ${width} wide`]: delta,
      [`gla, ${width} wide`]: gla,
      [`rwkv, ${width} wide`]: rwkv,
    })
    const good = { ...at(8, 0.4, 0.3, 0.2), ...at(16, 0.8, 0.6, 0.2), ...at(32, 1, 1, 0.3) }
    expect(passes('mqar-recall', { ...good, 'transformer, 32 wide': 0.99 })).toBe(true)
    expect(passes('mqar-recall', { ...good, 'transformer, 32 wide': 0.5 })).toBe(false)
    expect(passes('mqar-recall', { ...good, 'transformer, 32 wide': 0.99, 'rwkv, 16 wide': 0.7 })).toBe(false)
    expect(passes('mqar-recall', { ...good, 'transformer, 32 wide': 0.99, 'gla, 8 wide': 0.5 })).toBe(false)
  })

  test('resformer-value-residual: lower on every seed, and SVFormer close', () => {
    expect(passes('resformer-value-residual', { transformer: 2, ResFormer: 1.9, SVFormer: 2.03 })).toBe(true)
    expect(passes('resformer-value-residual', { transformer: 2, ResFormer: 2, SVFormer: 2 })).toBe(false)
    expect(passes('resformer-value-residual', { transformer: 2, ResFormer: 1.9, SVFormer: 2.1 })).toBe(false)
  })

  test('titans: no less than its baselines', () => {
    const others = { 'Titans (LMM) without momentum': 0.6, 'gated delta rule': 0.8, 'attention, window of 8': 0.3 }
    expect(passes('titans', { ...others, 'Titans (LMM)': 0.8 })).toBe(true)
    expect(passes('titans', { ...others, 'Titans (LMM)': 0.7 })).toBe(false)
  })

  test('none while a seed is missing', () => {
    const claim = named('titans')
    const results = madeUp(claim, () => 0.5).slice(1)
    expect(judge(claim, rowsOf(claim, results))).toBeNull()
    expect(standing({ claim, results })).toBe('7 of 8 runs')
  })

  test('the middle of values', () => {
    expect(median([3, 1, 2])).toBe(2)
    expect(median([4, 1])).toBe(2.5)
  })
})

describe.each(claims)('$key', (claim) => {
  test('labels differ, and so do the hashes of all runs', () => {
    const labels = claim.runs.map(({ label }) => label)
    expect(new Set(labels).size).toBe(labels.length)
    const hashes = claim.seeds.flatMap((seed) => claim.runs.map((run) => hashOf(run, seed)))
    expect(new Set(hashes).size).toBe(hashes.length)
  })

  test('what is said to be equal is', async () => {
    const sizes: number[] = []
    for (const line of claim.runs) {
      const { paper, config } = await resolveExperiment(experimentOf(line, 0), catalogue)
      const model = paper.build(config)
      sizes.push(claim.equal?.what === 'stateBytes' ? model.stateBytes(64) : model.parameterCount())
      model.dispose()
    }
    const apart = Math.max(...sizes) / Math.min(...sizes) - 1
    if (claim.equal) expect(apart).toBeLessThanOrEqual(claim.equal.within)
    else expect(apart).toBeGreaterThan(0)
  })
})

describe('results on disk', () => {
  const claim = named('titans')

  test('are found again, and only where nothing but the name has changed', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'mneme-claims-'))
    await saveResults(
      folder,
      claim,
      madeUp(claim, () => 0.5),
    )
    expect(await loadResults(folder, claim)).toHaveLength(8)
    const [first, ...rest] = claim.runs as [ClaimRun, ...ClaimRun[]]
    const renamed = { ...claim, runs: [{ ...first, label: 'another name' }, ...rest] }
    expect((await loadResults(folder, renamed)).map(({ label }) => label)).toContain('another name')
    const changed = { ...claim, runs: [{ ...first, train: { ...first.train, steps: 7 } }, ...rest] }
    expect(await loadResults(folder, changed)).toHaveLength(6)
    await rm(folder, { recursive: true })
  })

  test('a hash does not depend on the order of keys', () => {
    const run: ClaimRun = {
      label: 'a',
      paper: 'gla',
      task: 'mqar',
      taskConfig: {},
      train: {},
      config: { a: 1, b: [2] },
    }
    expect(hashOf({ ...run, config: { b: [2], a: 1 } }, 0)).toBe(hashOf(run, 0))
    expect(hashOf(run, 1)).not.toBe(hashOf(run, 0))
  })
})

describe('the page', () => {
  test('verdict, spread and table', () => {
    const claim = named('min-rnn')
    const results = madeUp(claim, ({ label }, seed) => (label === '1 layer' ? 0.4 + seed / 100 : 0.9))
    const text = page([
      { claim, results },
      { claim: named('titans'), results: [] },
    ])
    expect(text).toContain('**Passes**: 1 layer 41.0 %, 2 layers 90.0 %')
    expect(text).toContain('| 1 layer | `min-rnn` | 41.0 % (40.0 % to 42.0 %) | 3 | 1000 | 256 | 4096 | 2 |')
    expect(text).toContain('**Not judged**: 8 runs are missing.')
  })

  test('--check finds an edited page, and a missing one', async () => {
    const docs = await mkdtemp(join(tmpdir(), 'mneme-docs-'))
    const flags = { all: false, list: false, check: true, json: false, device: 'cpu', docs }
    expect(await claimCommand(undefined, flags)).toBe(1)
    const known = claims.map((claim) => ({ claim, results: [] }))
    await writeFile(join(docs, 'claims.md'), page(known))
    expect(await claimCommand(undefined, flags)).toBe(0)
    await writeFile(join(docs, 'claims.md'), `${await readFile(join(docs, 'claims.md'), 'utf8')}By hand.\n`)
    expect(await claimCommand(undefined, flags)).toBe(1)
    await rm(docs, { recursive: true })
  })

  test('is fresh in this repository', async () => {
    const docs = fileURLToPath(new URL('../../../../docs', import.meta.url))
    const flags = { all: false, list: false, check: true, json: false, device: 'cpu', docs }
    expect(await claimCommand(undefined, flags)).toBe(0)
  })

  test('a claim that does not exist is refused with a suggestion', async () => {
    const flags = { all: false, list: false, check: false, json: false, device: 'cpu', docs: 'docs' }
    await expect(claimCommand('titan', flags)).rejects.toThrow(/titans/)
  })

  test('a picture: a point for every value, marks in the legend, words escaped', () => {
    const svg = picture({
      title: 'a < b',
      x: 'bytes',
      y: 'accuracy',
      series: [
        {
          name: 'one',
          points: [
            { x: 4096, y: 1 },
            { x: 1024, y: 0 },
          ],
        },
        { name: 'two', points: [{ x: 2048, y: 0.5 }] },
      ],
    })
    expect(svg).toContain('a &lt; b')
    expect(svg.match(/<circle/g)).toHaveLength(3)
    expect(svg).toContain('points="64,360 548,44"')
    expect(svg).toContain('>2 KiB<')
  })
})
