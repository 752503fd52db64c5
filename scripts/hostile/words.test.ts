import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { program } from '@mneme/cli/main'
import { catalogue, experimentFrom } from '@mneme/cli/settings'
import { Run, resolveExperiment } from '@mneme/training'
import { build } from 'esbuild'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { collected } from '../../apps/playground/catalogue/collect'
import type * as Address from '../../apps/playground/src/experiment/address'
import { Mutator } from './mutations'
import { corpus, expectNamed } from './verdicts'

const folder = mkdtempSync(join(tmpdir(), 'mneme-words-'))
afterAll(() => rmSync(folder, { recursive: true }))

describe('addresses of experiments', () => {
  let address: typeof Address

  // the page's module with the page's data, as its build puts them together; its views are not asked for
  beforeAll(async () => {
    const root = fileURLToPath(new URL('../../apps/playground/src/', import.meta.url))
    const { outputFiles } = await build({
      ...{ entryPoints: [join(root, 'experiment/address.ts')], bundle: true, write: false, format: 'esm' },
      external: ['preact', 'preact/*'],
      plugins: [
        {
          name: 'catalogue',
          setup(plugins) {
            plugins.onResolve({ filter: /\/view\// }, ({ path }) => ({ path, external: true }))
            plugins.onResolve({ filter: /^virtual:catalogue$/ }, ({ path }) => ({ path, namespace: 'data' }))
            plugins.onLoad({ filter: /./, namespace: 'data' }, () => ({
              contents: JSON.stringify(collected),
              loader: 'json',
            }))
          },
        },
      ],
    })
    const file = join(folder, 'address.mjs')
    writeFileSync(file, outputFiles[0]?.contents ?? '')
    address = (await import(/* @vite-ignore */ pathToFileURL(file).href)) as typeof Address
  })

  const start =
    'paper=titans&config.dModel=32&config.variant=mac&task=mqar&task.pairs=4&train.steps=50&seed=3&backend=cpu'

  const shown =
    'view=inside/b&chart=accuracy&equal=time&seconds=30&times=500&sweep=recall&runs.order=-tokenAcc&draw.topK=5&look.row=3&look.token=2&look.head=4&papers.family=memory&papers.words=delta&lesson.why-decay.pairs=12&lesson.delta-rule.beta=0.5'

  test('900 damaged names of what is shown are read, or refused by name', async () => {
    const { taken, refused } = await corpus('options', 900, (seed) => {
      const mutator = new Mutator(seed)
      const parts = shown.split('&')
      for (let i = mutator.int(2); i < 2; i++)
        parts.splice(mutator.int(parts.length), 1, mutator.text(mutator.pick(parts)))
      const setup = address.readAddress(`#${parts.join('&')}`)
      // what was taken is as good as if the page had written it
      expect(address.readAddress(address.writeAddress(setup))).toEqual(setup)
    })
    expect(refused).toBeGreaterThan(300)
    expect(taken).toBeGreaterThan(20)
  })

  test('900 damaged ones are read, or refused by name', async () => {
    const { taken, refused } = await corpus('address', 900, (seed) => {
      const mutator = new Mutator(seed)
      const parts = start.split('&')
      if (mutator.int(2) === 0) parts.splice(mutator.int(parts.length), 1, mutator.text(mutator.pick(parts)))
      if (mutator.int(6) === 0) parts.push(`config.${mutator.text('dModel')}=${mutator.text('{"a":[1]}')}`)
      address.readAddress(`#${mutator.int(3) > 0 ? parts.join('&') : mutator.text(parts.join('&'))}`)
    })
    expect(refused).toBeGreaterThan(300)
    expect(taken).toBeGreaterThan(50)
  })

  test('any text at all is read, or refused by name', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => {
        try {
          address.readAddress(text)
        } catch (error) {
          expectNamed(error)
        }
      }),
      { seed: 7, numRuns: 300 },
    )
  })

  test('what was written is read back the same, whatever the settings are', () => {
    const settings = fc.record({
      dModel: fc.integer({ min: 1, max: 2 ** 20 }),
      normEps: fc.double({ min: 0, max: 1, noNaN: true }),
      variant: fc.string({ unit: 'binary' }),
    })
    fc.assert(
      fc.property(settings, fc.nat(), (config, seed) => {
        const experiment = { paper: 'titans', config, task: 'mqar', taskConfig: {}, train: {}, seed }
        const setup = { ...address.defaultSetup(), experiments: [experiment] as const }
        // a zero is a zero: JSON has no sign for it
        expect(address.readAddress(address.writeAddress(setup))).toEqual(JSON.parse(JSON.stringify(setup)))
      }),
      { seed: 8, numRuns: 200 },
    )
  })
})

describe('arguments of the command', () => {
  const start = [
    'train',
    '-p',
    'min-rnn',
    '-t',
    'copying',
    '-c',
    'dModel=8',
    '--train',
    'clip=0.5',
    '--steps',
    '2',
    '--seed',
    '1',
  ]

  test('400 damaged lines end with a code of their own, and leave no files', async () => {
    const quiet = [vi.spyOn(process.stderr, 'write'), vi.spyOn(process.stdout, 'write')]
    for (const spy of quiet) spy.mockReturnValue(true)
    const out = join(folder, 'run')
    try {
      const { refused } = await corpus('arguments', 400, async (seed) => {
        const mutator = new Mutator(seed)
        const damaged = start.map((word) => (mutator.int(4) === 0 ? mutator.text(word) : word))
        // refused at the latest where the paper is looked up, so that no damaged line trains
        let code = -1
        await program((result) => {
          code = result
        })
          .parseAsync([...damaged, '-o', out, '--paper', 'no-such'], { from: 'user' })
          .catch((error: unknown) => {
            if (!(error as { code?: string }).code?.startsWith('commander.')) throw error
            expect([0, 2]).toContain(code)
            throw new RangeError('commander: expected known options, got others')
          })
      })
      expect(refused).toBe(400)
    } finally {
      for (const spy of quiet) spy.mockRestore()
    }
    expect(readdirSync(folder)).not.toContain('run')
  })

  test('500 damaged settings make an experiment, or are refused by name', async () => {
    const { refused } = await corpus('settings', 500, async (seed) => {
      const mutator = new Mutator(seed)
      const damaged = (...pairs: string[]): string[] => pairs.map((p) => (mutator.int(2) === 0 ? mutator.text(p) : p))
      const given = await experimentFrom({
        ...{ paper: 'min-rnn', task: 'copying' },
        config: damaged('dModel=8', 'nLayers=1'),
        taskConfig: damaged('length=30'),
        train: damaged('steps=2', 'batch=2'),
      })
      await resolveExperiment(given, catalogue)
    })
    expect(refused).toBeGreaterThan(200)
  })

  test.each([
    [{ dModel: 1e9 }, /config\.dModel: expected a whole number from 1 to \d+, got 1000000000/],
    [{ dModel: 0.5 }, /config\.dModel: expected a whole number/],
    [{ nLayers: 1e9, dModel: 1 }, /config\.nLayers: expected a whole number/],
    [{ nLayers: 10_000, dModel: 1 }, /expected at most \d+ parameters, got more/],
    [{ dModel: 2 ** 20 }, /expected at most \d+ elements of parameters/],
  ])('a model of %o is refused before it takes memory', async (config, says) => {
    const setup = resolveExperiment({ paper: 'min-rnn', task: 'copying', config }, catalogue)
    await expect(setup.then((resolved) => Run.create(resolved))).rejects.toThrow(says)
  })

  test('a batch that no memory holds is refused', async () => {
    const train = { batch: 1e9, length: 1e4 }
    await expect(resolveExperiment({ paper: 'min-rnn', train }, catalogue)).rejects.toThrow(
      /experiment.train.batch: expected at most \d+ tokens a batch, got 10000000000000/,
    )
  })
})
