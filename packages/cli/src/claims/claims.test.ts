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

type Values = Readonly<Record<string, number>>

/** Whether a claim passes at these values by label. */
function passes(key: string, values: Values): boolean | undefined {
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

/** Values by label that bear a claim out, and others that do not; what is not named is 0. */
const madeUpVerdicts: Readonly<Record<string, readonly [good: Values, bad: Values]>> = {
  transformer: [
    { '2 layers': 1, '1 layer': 0.3 },
    { '2 layers': 1, '1 layer': 1 },
  ],
  hgrn: [
    { 'lower bound': 1.6, 'no lower bound': 1.7 },
    { 'lower bound': 1.7, 'no lower bound': 1.7 },
  ],
  hgrn2: [
    { 'heads 2 wide': 0.4, 'heads 8 wide': 0.9, 'heads 32 wide': 1 },
    { 'heads 2 wide': 0.4, 'heads 8 wide': 1, 'heads 32 wide': 1 },
  ],
  griffin: [
    far({ Griffin: [1.7, 1.6], Hawk: [1.7, 1.6], attention: [1.7, 2] }, 'characters', [64, 512]),
    far({ Griffin: [1.7, 1.6], Hawk: [1.7, 1.7], attention: [1.7, 2] }, 'characters', [64, 512]),
  ],
  gateloop: [
    { complex: 1.6, real: 1.7, none: 2 },
    { complex: 1.7, real: 1.6, none: 2 },
  ],
  mamba: [
    { Mamba: 1, RetNet: 0.8 },
    { Mamba: 0.9, RetNet: 0.8 },
  ],
  mamba2: [
    { 'Mamba-2, N = 1': 0.6, 'Mamba-2, N = 4': 0.9, 'Mamba-2, N = 16': 0.9, 'Mamba, N = 16': 0.2 },
    { 'Mamba-2, N = 1': 0.24, 'Mamba-2, N = 4': 0.25, 'Mamba-2, N = 16': 0.26, 'Mamba, N = 16': 0.2 },
  ],
  llamba: [
    { 'three stages': 1.8, 'scores alone': 1.9 },
    { 'three stages': 1.9, 'scores alone': 1.9 },
  ],
  rwkv: [
    { 'RWKV-4': 1.6, 'RWKV-7': 1.7, transformer: 1.7 },
    { 'RWKV-4': 1.6, 'RWKV-7': 1.8, transformer: 1.7 },
  ],
  retnet: [
    { RetNet: 1.9, 'linear attention': 2.4 },
    { RetNet: 2.4, 'linear attention': 2.4 },
  ],
  latte: [
    { Latte: 2, transformer: 1.8, 'linear attention': 2.4 },
    { Latte: 1.7, transformer: 1.8, 'linear attention': 2.4 },
  ],
  cottention: [
    { Cottention: 1.85, transformer: 1.8, 'linear attention': 2.4 },
    { Cottention: 2, transformer: 1.8, 'linear attention': 2.4 },
  ],
  'transformer-xl': [
    { 'memory of 0': 1.9, 'memory of 32': 1.8, 'memory of 128': 1.7 },
    { 'memory of 0': 1.9, 'memory of 32': 1.7, 'memory of 128': 1.8 },
  ],
  'end-to-end-memory-networks': [
    { '1 hop': 2.4, '3 hops': 2.3, '6 hops': 2.3 },
    { '1 hop': 2.4, '3 hops': 2.3, '6 hops': 2.35 },
  ],
  aaren: [
    far({ Aaren: [1, 0.99], transformer: [1, 1] }, 'tokens', [256, 1024]),
    far({ Aaren: [1, 0.97], transformer: [1, 1] }, 'tokens', [256, 1024]),
  ],
  'recurrent-linear-transformers': [
    far({ AReLiT: [1, 0.9], LSTM: [1, 0.9] }, 'tokens', [50, 200]),
    far({ AReLiT: [1, 0.8], LSTM: [1, 0.9] }, 'tokens', [50, 200]),
  ],
  'infini-attention': [
    far({ 'infini-attention': [1, 0], window: [0.3, 0] }, 'tokens', [1024, 4096]),
    far({ 'infini-attention': [1, 1], window: [0.5, 0] }, 'tokens', [1024, 4096]),
  ],
  'landmark-attention': [
    far({ landmarks: [1, 0.9], window: [0.3, 0.2] }, 'tokens', [128, 2048]),
    far({ landmarks: [1, 0.8], window: [0.3, 0.2] }, 'tokens', [128, 2048]),
  ],
  'compressive-transformer': [
    far({ compressed: [1, 0.9], 'Transformer-XL': [0.3, 0.2] }, 'tokens', [96, 128]),
    far({ compressed: [1, 0.9], 'Transformer-XL': [0.5, 0.2] }, 'tokens', [96, 128]),
  ],
  'block-recurrent-transformer': [
    far({ vectors: [1, 0.9], 'no vectors': [0.3, 0.2] }, 'tokens', [64, 128]),
    far({ vectors: [0.8, 0.9], 'no vectors': [0.3, 0.2] }, 'tokens', [64, 128]),
  ],
  memformer: [
    far({ slots: [1, 0.9], 'Transformer-XL': [0.3, 0.2] }, 'tokens', [64, 128]),
    far({ slots: [1, 0.9], 'Transformer-XL': [0.3, 0.6] }, 'tokens', [64, 128]),
  ],
  lm2: [
    far({ LM2: [1, 0.9], 'no bank': [1, 0.8], RMT: [1, 0.7] }, 'tokens', [64, 256]),
    far({ LM2: [1, 0.9], 'no bank': [1, 1], RMT: [1, 0.7] }, 'tokens', [64, 256]),
  ],
  'rmt-1m': [
    far({ memory: [1, 1, 0.9], 'no memory': [0.3, 0.3, 0.3] }, 'tokens', [112, 320, 1600]),
    far({ memory: [1, 1, 0.5], 'no memory': [0.3, 0.3, 0.3] }, 'tokens', [112, 320, 1600]),
  ],
  'artificial-hippocampus': [
    { 'memory and window': 0.95, window: 0.4, 'full attention': 1 },
    { 'memory and window': 0.95, window: 0.9, 'full attention': 1 },
  ],
  tova: [
    { tova: 1.7, h2o: 1.8, window: 1.9, sinks: 1.8 },
    { tova: 1.7, h2o: 1.8, window: 1.7, sinks: 1.8 },
  ],
  'blockwise-ring': [
    {
      'blockwise, inner width 256': 2,
      'plain, inner width 256': 3,
      'blockwise, inner width 1024': 2,
      'plain, inner width 1024': 9,
    },
    {
      'blockwise, inner width 256': 2,
      'plain, inner width 256': 3,
      'blockwise, inner width 1024': 5,
      'plain, inner width 1024': 9,
    },
  ],
}

/** `name, length unit` by value, for every name and length. */
function far(values: Readonly<Record<string, readonly number[]>>, unit: string, lengths: readonly number[]): Values {
  return Object.fromEntries(
    Object.entries(values).flatMap(([name, all]) => all.map((value, i) => [`${name}, ${lengths[i]} ${unit}`, value])),
  )
}

test.each(Object.entries(madeUpVerdicts))(
  '%s: passes on made-up results that bear it out, fails on others',
  (key, [good, bad]) => {
    const labels = named(key).runs.map(({ label }) => label)
    for (const values of [good, bad]) expect(labels).toEqual(expect.arrayContaining(Object.keys(values)))
    expect(passes(key, good)).toBe(true)
    expect(passes(key, bad)).toBe(false)
  },
)

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
