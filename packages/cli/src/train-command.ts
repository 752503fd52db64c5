import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { makeFolder, nodeStore } from '@mneme/core-tensor/io/node-store'
import { savePretrained } from '@mneme/models/pretrained'
import {
  loadRun,
  NonFiniteError,
  type ResolvedExperiment,
  Run,
  resolveExperiment,
  runFile,
  train,
} from '@mneme/training'
import { releaseDevice, useDevice } from './device.js'
import { output } from './progress.js'
import { catalogue, type ExperimentFlags, experimentFrom, UsageError } from './settings.js'

export interface TrainFlags extends ExperimentFlags {
  readonly out?: string
  readonly resume?: string
  readonly device: string
  readonly json: boolean
}

/** Exit codes beyond 0 and 1, so that scripts can tell what happened. */
export const exitCodes = { usage: 2, notFinite: 3, interrupted: 130 } as const

/** `mneme train`: trains, tells, saves; Ctrl-C saves before leaving. Returns the exit code. */
export async function trainCommand(flags: TrainFlags): Promise<number> {
  const out = output(flags.json)
  const folder = flags.resume ?? flags.out ?? defaultFolder()
  const store = nodeStore(folder)
  const saved = flags.resume === undefined ? null : await loadRun(store)
  if (flags.resume !== undefined && saved === null) {
    throw new UsageError(`--resume ${flags.resume}: expected a run there (${runFile}), got none.`)
  }
  if (flags.resume === undefined && existsSync(join(folder, runFile))) {
    throw new UsageError(
      `--out ${folder}: expected a folder without a run, got one with a run. Go on with --resume ${folder}, or name another.`,
    )
  }
  const device = await useDevice(flags.device)
  const setup = await resolveExperiment(
    saved ? resumed(saved.experiment, flags) : await experimentFrom(flags),
    catalogue,
  )
  const run = await Run.create(setup)
  if (saved) run.restore(saved)
  await makeFolder('--out', folder)
  await writeFile(join(folder, 'experiment.json'), `${JSON.stringify(setup.experiment, null, 2)}\n`)
  describe(setup, run, device, folder, out.say)

  const abort = new AbortController()
  const interrupt = (): void => {
    if (abort.signal.aborted) process.exit(exitCodes.interrupted)
    out.end()
    out.say('Stopping after this step and saving; once more leaves at once.')
    abort.abort()
  }
  process.on('SIGINT', interrupt)
  process.on('SIGTERM', interrupt)
  try {
    for await (const event of train(run, { store, signal: abort.signal })) {
      if (event.type === 'step') out.step(event, setup.train.steps)
      else if (event.type === 'evaluation') out.evaluation(event)
      else out.event(event)
    }
    out.end()
    await publish(run, setup, folder)
    out.say(`Saved in ${folder}. Continue: mneme train --resume ${folder}   Sample: mneme generate --run ${folder}`)
    return abort.signal.aborted ? exitCodes.interrupted : 0
  } catch (error) {
    out.end()
    if (!(error instanceof NonFiniteError)) throw error
    process.stderr.write(`${error.message}\n`)
    return exitCodes.notFinite
  } finally {
    process.off('SIGINT', interrupt)
    process.off('SIGTERM', interrupt)
    run.dispose()
    await releaseDevice(device)
  }
}

/** A resumed run keeps its experiment; more steps may be asked for. */
function resumed(experiment: object, flags: TrainFlags): object {
  if (flags.steps === undefined) return experiment
  const { train: settings, ...rest } = experiment as { readonly train: object }
  return { ...rest, train: { ...settings, steps: flags.steps } }
}

function defaultFolder(): string {
  return join('runs', new Date().toISOString().replace(/[:.]/g, '-').slice(0, 19))
}

function describe(
  setup: ResolvedExperiment,
  run: Run,
  device: { name: string; why: string },
  folder: string,
  say: (line: string) => void,
): void {
  const { paper, experiment, train: settings } = setup
  say(`${paper.card.title} (${paper.card.key}, arXiv:${paper.card.arxiv}) on ${experiment.task}`)
  say(`${run.model.parameterCount()} parameters, ${run.model.stateBytes(1000)} bytes of state a row at 1,000 tokens`)
  say(`${device.name} (${device.why}); seed ${experiment.seed}; batch ${settings.batch}; into ${folder}`)
}

/** Beside the run, the model alone in its published layout, where the paper has one. */
async function publish(run: Run, { paper, config }: ResolvedExperiment, folder: string): Promise<void> {
  if (paper.checkpoint === undefined || paper.checkpoint.covers?.(config) === false) return
  await savePretrained(nodeStore(join(folder, 'model')), { model: run.model, paper, config })
}
