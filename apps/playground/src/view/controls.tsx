import type { Lane } from '../lane'
import { formatCount } from './format'

const phaseNames = {
  loading: 'Loading',
  running: 'Training',
  paused: 'Paused',
  finished: 'Finished',
  stopped: 'Stopped',
  failed: 'Ended by an error',
} as const

/** Starts and stops a run, and says how far it is. */
export function Controls({ lane }: { readonly lane: Lane }) {
  const phase = lane.phase.value
  const going = phase === 'running' || phase === 'loading'
  const over = phase === 'finished'
  const halted = phase === 'stopped' || phase === 'failed'
  return (
    <fieldset class="controls">
      <legend class="hidden">Controls of run {lane.slot.toUpperCase()}</legend>
      {going ? (
        <button type="button" onClick={() => lane.pause()}>
          Pause
        </button>
      ) : (
        <button type="button" disabled={over} onClick={() => lane.resume()}>
          {halted ? 'Continue' : 'Resume'}
        </button>
      )}
      <button type="button" disabled={over || halted} onClick={() => lane.step()}>
        One step
      </button>
      <button type="button" disabled={halted} onClick={() => lane.stop()}>
        Stop
      </button>
      <button type="button" onClick={() => lane.start(undefined, { fresh: true })}>
        Start over
      </button>
      <Progress lane={lane} />
    </fieldset>
  )
}

export function stepOf(lane: Lane): number {
  return lane.latest.value?.step ?? lane.resumedAt.value ?? 0
}

function Progress({ lane }: { readonly lane: Lane }) {
  const steps = lane.facts.value?.steps ?? 0
  const step = stepOf(lane)
  const phase = lane.phase.value
  return (
    <div class="progress">
      <progress value={step} max={Math.max(1, steps)} aria-label="Steps taken" />
      <span>
        {phase === 'loading'
          ? lane.stage.value
          : `${phase === 'running' && lane.spent.value ? 'Waiting for its turn' : phaseNames[phase]}, step ${formatCount(step)} of ${formatCount(steps)}`}
      </span>
    </div>
  )
}

/** How this run began, and where it is kept. */
export function KeptNote({ lane }: { readonly lane: Lane }) {
  const { resumedAt } = lane
  return (
    <p class="kept quiet">
      {resumedAt.value !== null && <strong>Continued from step {formatCount(resumedAt.value)}. </strong>}
      {whereKept(lane)}
    </p>
  )
}

function whereKept({ kept, savedStep }: Lane): string {
  if (!kept.value) return 'Not kept: another tab keeps this run.'
  if (savedStep.value === null) return 'Kept in this browser every ten seconds.'
  return `Kept in this browser at step ${formatCount(savedStep.value)}.`
}

export function TroubleNote({ lane }: { readonly lane: Lane }) {
  const trouble = lane.trouble.value
  if (trouble === null) return null
  return (
    <div class="problem" role="alert">
      <p>{trouble.message}</p>
      <p>{trouble.remedy}</p>
      {!trouble.fatal && (
        <button type="button" onClick={() => lane.dismiss()}>
          Dismiss
        </button>
      )}
    </div>
  )
}
