import { loadPaper } from '@mneme/models'
import { loadTask } from '@mneme/tasks'
import { type Experiment, resolveExperiment } from '@mneme/training'
import { describe, expect, test } from 'vitest'
import { defaultSetup, readAddress, writeAddress } from '../src/experiment/address'
import { optionDefaults } from '../src/experiment/options'
import { presets, sweeps } from '../src/experiment/presets'
import { experimentId } from '../src/experiment/starting-point'

async function counts(experiment: Experiment): Promise<{ parameters: number; stateBytes: number }> {
  const { paper, config, taskConfig } = await resolveExperiment(experiment, { loadPaper, loadTask: loadTask as never })
  const model = paper.build(config)
  const { length } = taskConfig as { length: number }
  const found = { parameters: model.parameterCount(), stateBytes: model.stateBytes(length) }
  model.dispose()
  return found
}

describe.each(presets)('the preset $key', ({ experiments, options }) => {
  test('is taken by the registries, and comes back from its address', async () => {
    expect(experiments.length).toBeLessThanOrEqual(4)
    for (const experiment of experiments) expect((await counts(experiment)).parameters).toBeGreaterThan(0)
    const setup = { ...defaultSetup(), experiments, options: { ...optionDefaults, ...options } }
    expect(readAddress(writeAddress(setup))).toEqual(setup)
  })
})

test('what is said to have a kilobyte of state has it', async () => {
  const preset = presets.find(({ key }) => key === 'recall-at-equal-state')
  const bytes = await Promise.all((preset?.experiments ?? []).map(async (one) => (await counts(one)).stateBytes))
  expect(bytes).toHaveLength(4)
  for (const value of bytes) expect(Math.abs(value / 1024 - 1)).toBeLessThan(0.07)
})

test.each(sweeps)('the sweep $key has as many experiments as it says, each another', ({ experiments }) => {
  expect(new Set(experiments.map(experimentId)).size).toBe(9)
})
