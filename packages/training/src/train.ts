import { breather } from '@mneme/core-tensor'
import type { CheckpointStore } from '@mneme/core-tensor/io/store'
import { saveRun } from './checkpoint.js'
import type { Evaluation, Run, StepReport } from './run.js'

export type TrainEvent =
  | ({ readonly type: 'step' } & StepReport)
  | ({ readonly type: 'evaluation' } & Evaluation)
  | { readonly type: 'checkpoint'; readonly step: number }

export interface TrainOptions {
  /** Ends training after the step that is under way; the run is saved first. */
  readonly signal?: AbortSignal
  /** Where checkpoints go; none are written without it. */
  readonly store?: CheckpointStore
}

/**
 * Trains until the run's steps are done or the signal aborts, and tells what happens. A checkpoint is written at every
 * `checkpointEvery` steps, at the end, and when aborted; never after a step that gave no finite numbers.
 *
 * @throws NonFiniteError; the last good checkpoint stays
 */
export async function* train(run: Run, { signal, store }: TrainOptions = {}): AsyncGenerator<TrainEvent> {
  const { evalEvery, checkpointEvery } = run.setup.train
  let savedAt = -1
  const save = async (): Promise<TrainEvent> => {
    if (store) await saveRun(store, await run.snapshot())
    savedAt = run.step
    return { type: 'checkpoint', step: run.step }
  }
  const breathe = breather()
  while (!run.finished && !signal?.aborted) {
    yield { type: 'step', ...(await run.advance()) }
    const last = run.finished
    if (last || (evalEvery > 0 && run.step % evalEvery === 0)) yield { type: 'evaluation', ...(await run.evaluate()) }
    if (store && checkpointEvery > 0 && run.step % checkpointEvery === 0) yield await save()
    await breathe()
  }
  if (store && savedAt !== run.step) yield await save()
}
