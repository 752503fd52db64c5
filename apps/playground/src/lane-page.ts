import type { Experiment } from '@mneme/training'
import type { ReadonlySignal } from '@preact/signals'
import type { Lane } from './lane'
import type { Allowance, BackendChoice } from './protocol'

/** What a lane is to know of the page. */
export interface LanePage {
  readonly backend: ReadonlySignal<BackendChoice>
  /** Name that an experiment's run is kept under; no two lanes may have the same. */
  saveKey(lane: Lane, experiment: Experiment): string
  /** Time that a run may take at first. */
  allowance(): Allowance
  onFinished(lane: Lane): void
}
