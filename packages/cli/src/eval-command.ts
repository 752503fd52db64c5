import { nodeStore } from '@mneme/core-tensor/io/node-store'
import { loadRun, Run, resolveExperiment } from '@mneme/training'
import { releaseDevice, useDevice } from './device.js'
import { percent } from './progress.js'
import { catalogue, UsageError } from './settings.js'

export interface EvalFlags {
  readonly run: string
  readonly split: string
  readonly batches: number
  readonly length?: readonly number[]
  readonly device: string
  readonly json: boolean
}

/** `mneme eval`: loss and accuracy of a trained run, at its own or other lengths. */
export async function evalCommand(flags: EvalFlags): Promise<number> {
  const { split } = flags
  if (split !== 'validation' && split !== 'test') throw new UsageError(`--split ${split}: expected validation or test.`)
  const device = await useDevice(flags.device)
  const snapshot = await loadRun(nodeStore(flags.run))
  if (snapshot === null) throw new UsageError(`eval ${flags.run}: expected a run there, got none.`)
  const setup = await resolveExperiment(snapshot.experiment, catalogue)
  const run = await Run.create(setup)
  try {
    run.restore(snapshot)
    for (const length of flags.length ?? [setup.train.length]) {
      const result = await run.evaluate({ split, batches: flags.batches, length })
      const row = { length: length || 'as trained', ...result, stateBytes: run.model.stateBytes(length || 1000) }
      if (flags.json) process.stdout.write(`${JSON.stringify(row)}\n`)
      else {
        const { lossNats, tokenAcc, seqAcc } = result
        process.stdout.write(
          `length ${row.length}: loss ${lossNats.toFixed(4)} nats, accuracy ${percent(tokenAcc)}, whole rows ${percent(seqAcc)}\n`,
        )
      }
    }
    return 0
  } finally {
    run.dispose()
    await releaseDevice(device)
  }
}
