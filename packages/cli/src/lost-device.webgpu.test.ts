import { memoryStore } from '@mneme/core-tensor/io/store'
import { disposeWebGPU, useWebGPU } from '@mneme/kernels-webgpu/node'
import { loadRun, Run, type RunSnapshot, resolveExperiment, saveRun } from '@mneme/training'
import { expect, test } from 'vitest'
import { catalogue } from './settings.js'

const experiment = {
  config: { dModel: 4, nLayers: 1, ffMult: 1 },
  task: 'copying',
  taskConfig: { length: 20, data: 2 },
  train: { steps: 3, batch: 1, evalEvery: 0 },
}

const start = async (): Promise<Run> => Run.create(await resolveExperiment(experiment, catalogue))

const bits = ({ tensors }: RunSnapshot): Record<string, number[]> =>
  Object.fromEntries(Object.entries(tensors).map(([name, { values }]) => [name, Array.from(values)]))

test('a device destroyed in the middle of a step ends it with an error; on a new one the run goes on to the same weights', async () => {
  const { device } = await useWebGPU({ allowSoftware: true })
  const whole = await start()
  const store = memoryStore()
  for (let i = 0; i < 3; i++) {
    await whole.advance()
    if (i === 0) await saveRun(store, await whole.snapshot())
  }
  const expected = bits(await whole.snapshot())

  const torn = await start()
  torn.restore((await loadRun(store)) as RunSnapshot)
  const step = torn.advance()
  device.destroy()
  await expect(step).rejects.toThrow()
  await disposeWebGPU()

  await useWebGPU({ allowSoftware: true })
  const resumed = await start()
  resumed.restore((await loadRun(store)) as RunSnapshot)
  while (!resumed.finished) await resumed.advance()
  expect(bits(await resumed.snapshot())).toEqual(expected)
  resumed.dispose()
})
