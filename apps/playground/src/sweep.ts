import { effect } from '@preact/signals'
import { sweeps } from './experiment/presets'
import { findRecord } from './experiment/records'
import { experimentId } from './experiment/starting-point'
import { lanes, options, setOptions, startIn } from './page'

/** Runs of the sweep that the address names and that have no result yet, one after another in the first place. */
export function keepSweeping(): void {
  const failed = new Set<string>()
  effect(() => {
    const sweep = sweeps.find(({ key }) => key === options.value.sweep)
    const [lane] = lanes.value
    if (sweep === undefined || lane === undefined) return
    const current = experimentId(lane.experiment.value)
    const phase = lane.phase.value
    const mine = sweep.experiments.some((experiment) => experimentId(experiment) === current)
    if (mine && phase === 'failed') failed.add(current)
    if (mine && !['finished', 'failed', 'stopped'].includes(phase)) return
    const next = sweep.experiments.find((one) => !findRecord(one) && !failed.has(experimentId(one)))
    // a start changes what is read here
    queueMicrotask(() => {
      if (next === undefined) setOptions({ sweep: '' })
      else if (experimentId(next) !== experimentId(lane.experiment.value)) startIn(lane, next)
    })
  })
}
