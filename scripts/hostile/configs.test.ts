import { type TokenModel, withinLimits, withinParameters } from '@mneme/core-tensor'
import { loadPaper, paperKeys } from '@mneme/models'
import { loadTask, taskKeys } from '@mneme/tasks'
import { type Catalogue, Run, resolveExperiment, trainDefaults } from '@mneme/training'
import { memory, tensor2d, tidy } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { judged } from './verdicts'

/** What no configuration was made for: signs, fractions, and sizes that no memory holds. */
const values = [-1, 0, 0.5, 3, 7, 1e9, 2 ** 31, 2 ** 32, 2 ** 53, Number.MAX_VALUE, 1e-300]

type Config = { readonly [key: string]: unknown }

/** Copies of a configuration in which one number is another, nested ones too, with what was changed. */
function* changed(config: Config): Iterable<[what: string, config: Config]> {
  for (const [key, own] of Object.entries(config)) {
    if (typeof own === 'number') for (const value of values) yield [`${key} ${value}`, { ...config, [key]: value }]
    if (typeof own !== 'object' || own === null || Array.isArray(own)) continue
    for (const [what, inner] of changed(own as Config)) yield [`${key}.${what}`, { ...config, [key]: inner }]
  }
}

let models = 0

describe('any number in the place of one of a configuration', () => {
  test.each(paperKeys)('%s: what can be built runs, the rest is refused by name, and nothing is left', async (key) => {
    const paper = await loadPaper(key)
    const { moreTiny = {} } = (await import(`../../packages/models/src/${key}.ts`)) as {
      moreTiny?: Readonly<Record<string, object>>
    }
    const tally = { taken: 0, refused: 0 }
    for (const form of [paper.tiny, ...Object.values(moreTiny)]) {
      for (const [what, config] of changed(form as unknown as Config)) {
        const before = memory().numTensors
        await judged(tally, `${key} ${what}`, () => {
          const settled = withinLimits(key, paper.config, config)
          const model = withinParameters(key, 1e6, () => paper.build(settled)) as TokenModel
          try {
            tidy(() => model.forward(tensor2d([0, 0, 0, 0], [1, 4], 'int32')).y.dataSync())
          } finally {
            model.dispose()
          }
        })
        expect(memory().numTensors, what).toBe(before)
      }
    }
    expect(tally.taken).toBeGreaterThan(0)
    expect(tally.refused).toBeGreaterThan(0)
    models += tally.taken + tally.refused
  })

  test('of the models above: more than 14,000', () => {
    expect(models).toBeGreaterThan(14_000)
  })

  const catalogue: Catalogue = { loadPaper, loadTask: loadTask as Catalogue['loadTask'] }
  const model = { paper: 'min-rnn', config: { dModel: 4, nLayers: 1, ffMult: 1 } }
  const ran = async (experiment: object): Promise<void> => {
    const run = await Run.create(await resolveExperiment({ ...model, ...experiment }, catalogue))
    try {
      await run.advance()
    } finally {
      run.dispose()
    }
  }

  test.each(taskKeys)('task %s', async (task) => {
    const tally = { taken: 0, refused: 0 }
    for (const [what, taskConfig] of changed((await loadTask(task)).defaults as Config))
      await judged(tally, `${task} ${what}`, () => ran({ task, taskConfig, train: { steps: 1, batch: 1 } }))
    expect(tally.taken).toBeGreaterThan(0)
    expect(tally.refused).toBeGreaterThan(0)
  })

  test('training', async () => {
    const tally = { taken: 0, refused: 0 }
    for (const [what, train] of changed({ ...trainDefaults, steps: 1, batch: 1 }))
      await judged(tally, `train ${what}`, () => ran({ task: 'copying', taskConfig: { length: 20 }, train }))
    expect(tally.taken).toBeGreaterThan(0)
    expect(tally.refused).toBeGreaterThan(20)
  })
})
